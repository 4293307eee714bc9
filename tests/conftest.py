"""Keeps the whole test run out of its user's own home."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_state_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`trawl load` notes where files lie for its user: here in a folder of the run's own, also
    where a test starts it as another process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield

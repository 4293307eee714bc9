"""A whole app over an empty data folder, for tests below HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.app import App, build_app
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.settings import Settings


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A new app; it is closed afterwards."""
    built = build_app(Settings.local(tmp_path, {}))
    yield built
    built.close()


@pytest.fixture
def namespace(app: App) -> Namespace:
    """A standalone namespace whose vectors are learnt."""
    return app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))

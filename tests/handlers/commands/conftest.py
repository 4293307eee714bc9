"""Places for the command line to work on: a data folder, and a server; and pictures to load."""

from pathlib import Path

import pytest

from tests.handlers.commands.command_line import Trawl, write_pictures
from tests.servers import Server


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("DATA_DIR", "API_URL", "API_KEY", "NAMESPACE", "TABLE"):
        monkeypatch.delenv(f"TRAWL_{name}", raising=False)


@pytest.fixture(params=["data folder", "server"])
def trawl(request: pytest.FixtureRequest, tmp_path: Path) -> Trawl:
    """The command in a place of its own, both ways."""
    if request.param == "data folder":
        return Trawl(["--data", str(tmp_path / "data")])
    server: Server = request.getfixturevalue("server")
    name = server.new_namespace().namespace
    assert name is not None
    return Trawl(
        ["--api", server.base_url, "--key", server.running.admin_key], ["--namespace", name]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four pictures, one of them in a folder of its own."""
    write_pictures(tmp_path / "photos", 3)
    write_pictures(tmp_path / "photos" / "sub", 1, first=3)
    return tmp_path / "photos"

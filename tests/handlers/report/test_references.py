"""A reference's file: only where it was loaded from, or signed for, and only with its own hash."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from handlers.client import Client, Reply
from handlers.client_errors import UnreachableError
from handlers.loaded_places import LoadedPlaces, PlacesError
from handlers.report.match import Match, match_of
from handlers.report.references import NotShownError, References
from tests.handlers.report.answers import cell, match
from tests.handlers.transports import ScriptedTransport, Sent

DATA = b"picture"
SHA256 = hashlib.sha256(DATA).hexdigest()


def reference(**blob: str) -> Match:
    """Return a match with a document of that content, with one blob if any is described."""
    found = match("a.png")
    document = found["documents"][0]
    document["_internal"]["content_hash"] = SHA256
    if blob:
        document["document_blobs"] = [blob]
    made = match_of(cell("block", **found))
    assert made is not None
    return made


@pytest.fixture
def places(tmp_path: Path) -> LoadedPlaces:
    return LoadedPlaces(tmp_path / "state" / "loaded.sqlite3")


def test_a_file_is_found_where_it_was_loaded_from(tmp_path: Path, places: LoadedPlaces) -> None:
    path = tmp_path / "a\udce9.png"
    path.write_bytes(DATA)
    references = References(loaded=places.find)
    with pytest.raises(NotShownError, match="not at hand.*--references"):
        references.read(reference())
    places.remember("col_1", [(SHA256, path), (SHA256, path)])
    places.remember("col_1", [(SHA256, tmp_path / "gone.png")])
    assert references.read(reference()) == DATA
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    path.write_bytes(b"another")
    with pytest.raises(NotShownError, match="changed since it was loaded|gone"):
        references.read(reference())


def test_what_was_loaded_elsewhere_is_not_looked_at(tmp_path: Path, places: LoadedPlaces) -> None:
    """A document of one collection cannot show what lies in another by claiming its hash."""
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    places.remember("col_2", [(SHA256, path)])
    assert places.find("col_2", SHA256) == [path]
    with pytest.raises(NotShownError, match="not at hand"):
        References(loaded=places.find).read(reference())
    for claimed in ("", "no hash", SHA256[:-1], "é"):
        assert places.find("col_2", claimed) == []


def test_a_list_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "loaded.sqlite3"
    broken.write_bytes(b"no database at all" * 100)
    places = LoadedPlaces(broken)
    with pytest.raises(PlacesError):
        places.remember("col_1", [(SHA256, tmp_path)])
    with pytest.raises(NotShownError, match="list of loaded files cannot be read"):
        References(loaded=places.find).read(reference())
    under_a_file = LoadedPlaces(broken / "loaded.sqlite3")
    with pytest.raises(PlacesError):
        under_a_file.remember("col_1", [(SHA256, tmp_path)])


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container whose user is a number alone."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(PlacesError, match="XDG_STATE_HOME"):
        LoadedPlaces().remember("col_1", [(SHA256, tmp_path)])
    with pytest.raises(NotShownError, match="home directory"):
        References(loaded=LoadedPlaces().find).read(reference())


def test_two_may_write_at_a_time(tmp_path: Path, places: LoadedPlaces) -> None:
    places.remember("col_1", [(SHA256, tmp_path / "a")])
    other = sqlite3.connect(tmp_path / "state" / "loaded.sqlite3")
    other.execute("BEGIN")
    other.execute("SELECT * FROM loaded").fetchall()
    assert places.find("col_1", SHA256) == [tmp_path / "a"]
    other.close()


def test_a_signed_address_is_fetched_and_proven() -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return DATA if url.endswith("right") else b"another"

    references = References(fetch=fetch)
    right = reference(url="s3://b/k", presigned_url="https://b/right")
    assert references.read(right) == DATA
    with pytest.raises(NotShownError, match="not at hand"):
        references.read(reference(url="s3://b/k", presigned_url="https://b/wrong"))
    assert asked == ["https://b/right", "https://b/wrong"]


@pytest.mark.parametrize(
    "blob",
    [
        {"url": "https://b/k", "presigned_url": "https://b/k"},
        {"presigned_url": "https://b/k"},
        {"url": "s3://b/k", "presigned_url": "https://b/k", "unavailable_reason": "not yours"},
    ],
)
def test_an_address_of_the_documents_own_is_not_asked(blob: dict[str, str]) -> None:
    def fetch(url: str) -> bytes:
        raise AssertionError(url)

    with pytest.raises(NotShownError, match="not at hand"):
        References(fetch=fetch).read(reference(**blob))


def test_a_service_that_does_not_answer_is_told() -> None:
    def fetch(url: str) -> bytes:
        raise UnreachableError("the file could not be read: status 403")

    signed = reference(url="s3://b/k", presigned_url="https://b/k")
    with pytest.raises(NotShownError, match="not at hand: .*status 403"):
        References(fetch=fetch).read(signed)


class Silent(ScriptedTransport):
    """A transport that nobody may use."""

    def answer(self, sent: Sent) -> Reply:
        raise AssertionError(sent.path)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/blobs/x?signature=1",
        "http://bucket.s3.amazonaws.com/k",
        "https://amazonaws.com.example.org/k",
        "https://evilamazonaws.com/k",
        "file:///etc/passwd",
        "no address",
        "http://[",
        "https://user@bucket.s3.amazonaws.com/k",
    ],
)
def test_what_the_service_cannot_have_signed_is_not_asked(url: str) -> None:
    assert Client(Silent()).read_signed(url, most=10) is None

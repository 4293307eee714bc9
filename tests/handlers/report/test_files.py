"""A report's files: pictures of what is proven to be the same, a page that is never lost."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.deadline import Deadline
from core.errors import MediaError
from core.ports.previews import Picture, Preview
from handlers.client_errors import ClientError
from handlers.report.match import Match, match_of
from handlers.report.references import References
from handlers.report.thumbnails import MAX_BYTES, Gallery, to_jpeg
from handlers.report.writing import check_target, write_report
from tests.handlers.report.answers import cell, match


class Previews:
    """Shows every file as one green picture, or fails; remembers what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[bytes] = []
        self._error = error

    def preview(self, data: bytes, *, deadline: Deadline, times_ms: Sequence[int] = ()) -> Preview:
        self.seen.append(data)
        if self._error is not None:
            raise self._error
        return Preview((Picture(4, 2, bytes([0, 200, 0]) * 8),), (1, 2), 500)

    def close(self) -> None:
        pass


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def scanned(data: bytes) -> dict[str, Any]:
    return {"file": "/etc/hostname", "sha256": sha256(data)}


def gallery_of(
    previews: Previews, *files: tuple[Path, bytes], references: References | None = None
) -> Gallery:
    """Return a gallery of files that were scanned with these contents."""
    places = {sha256(data): path for path, data in files}
    return Gallery(previews, places, references or References())


def reference(name: str, data: bytes) -> Match:
    found = match(name)
    found["documents"][0]["_internal"]["content_hash"] = sha256(data)
    made = match_of(cell("block", **found))
    assert made is not None
    return made


def test_a_file_is_shown_once_it_is_known_to_be_the_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    previews = Previews()
    named = References([tmp_path])
    gallery = gallery_of(previews, (path, b"picture"), (path, b"as it was"), references=named)
    shown = gallery.of_file(scanned(b"picture"))
    assert str(shown.source).startswith("data:image/jpeg;base64,")
    assert (shown.width, shown.height, shown.loudness, shown.duration_ms) == (4, 2, (1, 2), 500)
    assert gallery.of_file(scanned(b"picture")) is shown
    assert gallery.of_reference(reference("a.png", b"picture")).source == shown.source
    assert previews.seen == [b"picture", b"picture"]
    changed = gallery.of_file(scanned(b"as it was"))
    assert changed.source is None
    assert "has changed since the scan" in str(changed.why)
    other = gallery.of_reference(reference("a.png", b"as it was"))
    assert "has changed since it was loaded" in str(other.why)
    assert previews.seen == [b"picture", b"picture"]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "sub/../../secret.png", "a\0b"])
def test_a_document_cannot_name_a_file_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "link.png").symlink_to(tmp_path / "secret.png")
    previews = Previews()
    gallery = gallery_of(previews, references=References([tmp_path / "folder"]))
    for wanted in (name, "link.png"):
        assert "not at hand" in str(gallery.of_reference(reference(wanted, b"secret")).why)
    assert previews.seen == []


@pytest.mark.parametrize("name", ["{path}", "https://example.org/a.png", "s3://b/k", "data:,x"])
def test_a_name_in_an_answer_opens_no_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    previews = Previews()
    shown = gallery_of(previews).of_file({**scanned(b"picture"), "file": name.format(path=path)})
    assert "not a file on the machine" in str(shown.why)
    at_hand = gallery_of(previews).of_reference(reference(str(path), b"picture"))
    assert "--references" in str(at_hand.why)
    assert previews.seen == []


def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    places = [(tmp_path / "a.png", b"picture"), (tmp_path / "b.png", b"b"), (tmp_path, b"c")]
    gallery = gallery_of(Previews(MediaError("the file is a bomb")), *places)
    shown = gallery.of_file(scanned(b"picture"))
    assert shown.why == "not shown: the file is a bomb"
    assert "gone" in str(gallery.of_file(scanned(b"b")).why)
    assert "gone" in str(gallery.of_file(scanned(b"c")).why)


@pytest.mark.parametrize("most", [MAX_BYTES, 2500])
def test_a_picture_is_no_larger_than_it_may_be(most: int) -> None:
    noise = Image.effect_noise((320, 320), 100).convert("RGB")
    data, width, height = to_jpeg(Picture(320, 320, noise.tobytes()), most)
    assert len(data) <= most
    assert 0 < width == height <= 320


def test_a_report_takes_the_place_of_none_unless_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    check_target(path, force=False)
    write_report(path, "first \N{SNOWMAN}", force=False)
    with pytest.raises(ClientError, match="--force"):
        check_target(path, force=False)
    with pytest.raises(ClientError, match="--force"):
        write_report(path, "second", force=False)
    assert path.read_text("utf-8") == "first \N{SNOWMAN}"
    write_report(path, "third", force=True)
    assert path.read_text("utf-8") == "third"
    assert list(tmp_path.iterdir()) == [path]


def test_without_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "report.html"
    write_report(path, "first", force=False)
    with pytest.raises(ClientError, match="--force"):
        write_report(path, "second", force=False)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_takes_no_file_is_said_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="is a folder"):
        check_target(tmp_path, force=True)
    with pytest.raises(ClientError, match="there is no folder"):
        check_target(tmp_path / "no" / "report.html", force=False)
    with pytest.raises(ClientError, match="cannot be written"):
        write_report(tmp_path / "no" / "report.html", "page", force=True)

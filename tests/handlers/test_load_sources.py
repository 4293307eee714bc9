"""What folders, patterns and prefixes hold: hostile names, circles, and other kinds of files."""

import os
from pathlib import Path

import pytest

from handlers.load_sources import (
    LocalFile,
    RemoteFile,
    find_below,
    find_matching,
    local_file,
    objects_below,
    refuse_kind,
)
from tests.core.media.pictures import encode, landscape

PNG = encode(landscape(1), "PNG")
MP3 = b"ID3\x04" + bytes(20)


def test_patterns_name_files_below_what_they_do_not_vary(tmp_path: Path) -> None:
    for name in ("a/b/1.png", "a/2.png", "a/.hidden/3.png", "a/4.txt", "a/b/.5.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "a" / "circle").symlink_to(tmp_path / "a")
    found = find_matching(f"{tmp_path}/a/**/*.png", ())
    assert [file.name for file in found.files] == ["2.png", "b/1.png"]
    assert [f.name for f in find_matching(f"{tmp_path}/*/*.txt", ()).files] == ["a/4.txt"]
    assert find_matching(f"{tmp_path}/a/*", ("*.gif",)).files == []


def test_a_folder_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "1.png").touch()
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)  # whoever runs the tests may be root
    found = find_below(tmp_path, ())
    assert [file.name for file in found.files] == ["open/1.png"]
    [problem] = found.problems
    assert (problem.name, problem.reason) == (
        "closed",
        "the folder cannot be read: Permission denied",
    )


def test_circles_of_links_and_names_of_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    names = [b"new\nline.png", b"\xff\xfe.png", b"-rf.png", b"\x1b[31m.png", b"#0.png", b"a b?.png"]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    found = find_below(tmp_path, ())
    assert {file.raw_name for file in found.files if isinstance(file, LocalFile)} == {
        *names, b"one", b"two",
    }  # fmt: skip


def test_objects_are_named_below_their_prefix() -> None:
    listed = [("p/q/", 0, "0"), ("p/q/a.png", 3, "1"), ("p/q/r/b.png", 4, "2"), ("p/q/.x", 1, "3")]
    files = objects_below("bucket", "p/q/", listed, ()).files
    assert [(one.name, one.uri) for one in files if isinstance(one, RemoteFile)] == [
        ("a.png", "s3://bucket/p/q/a.png"),
        ("r/b.png", "s3://bucket/p/q/r/b.png"),
    ]
    assert [one.name for one in objects_below("bucket", "p/q/a", listed[1:2], ()).files] == [
        "a.png"
    ]
    first, second = (objects_below("b", "", [("k.png", 1, etag)], ()).files[0] for etag in "xy")
    assert isinstance(first, RemoteFile)
    assert isinstance(second, RemoteFile)
    assert first.own_id != second.own_id


@pytest.mark.parametrize(
    ("name", "head", "modalities", "said"),
    [
        ("a.png", PNG, ("image",), None),
        ("a.mp3", PNG, ("image",), None),
        ("a.png", MP3, ("image",), "not a picture (audio/mpeg)"),
        ("a.png", b"text", ("image",), None),
        ("a.txt", b"text", ("image",), "not a picture (text/plain)"),
        ("README", b"", ("image",), "not a picture (of no known type)"),
        ("a.png", b"", ("image",), None),
        ("a.mp3", MP3, ("audio", "video"), None),
        ("a.mp3", MP3, ("video",), "not a film (audio/mpeg)"),
        ("a.ogg", b"OggS" + bytes(9), ("video",), None),
        ("a.png", PNG, ("audio", "video"), "not a recording or a film (image/png)"),
        ("a.pdf", b"%PDF-1.7", ("image",), "not a picture (application/pdf)"),
    ],
)
def test_kinds_go_by_the_first_bytes(
    name: str, head: bytes, modalities: tuple[str, ...], said: str | None
) -> None:
    file = local_file(Path(name), Path(name))
    assert refuse_kind(file, modalities, head) == said


def test_what_was_named_itself_is_refused_only_for_what_it_is() -> None:
    chosen = local_file(Path("notes.txt"), Path("notes.txt"), chosen=True)
    assert refuse_kind(chosen, ("image",), b"text") is None
    assert refuse_kind(chosen, ("image",), MP3) == "not a picture (audio/mpeg)"


def test_of_objects_the_name_is_all_that_is_known() -> None:
    def refused(name: str) -> str | None:
        return refuse_kind(RemoteFile(name, f"s3://b/{name}"), ("image",), None)

    assert refused("a.jpg") is None
    assert refused("a") is None
    assert refused("a.mp3") == "not a picture (audio/mpeg)"

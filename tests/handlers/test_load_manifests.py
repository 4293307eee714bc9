"""Manifests as people and programs write them: a wrong line costs itself, by its number."""

import os
from pathlib import Path

import orjson
import pytest

from handlers.client_errors import ClientError
from handlers.load_manifests import read_manifest
from handlers.load_sources import Found, LocalFile, RemoteFile


def read(folder: Path, name: str, text: str | bytes) -> Found:
    """Write a manifest and read it."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(path)


def problems(found: Found) -> list[tuple[str, str]]:
    return [(problem.name, problem.reason) for problem in found.problems]


def test_a_csv_gives_paths_ids_and_fields(tmp_path: Path) -> None:
    text = (
        "\ufeffpath,id,artist,metadata\r\n"
        '"a, b.png",one,"said ""x""\nand more","{""year"": 1999}"\r\n'
        "\r\n"
        "sub/c.png,,,\r\n"
        "/abs/d.png,three,,\r\n"
    )
    found = read(tmp_path, "refs.csv", text)
    assert problems(found) == []
    first, second, third = found.files
    assert isinstance(first, LocalFile)
    assert (first.name, first.path) == ("a, b.png", tmp_path / "a, b.png")
    assert (first.document_id, first.origin) == ("one", "refs.csv:2")
    assert first.fields == {"artist": 'said "x"\nand more', "year": 1999}
    assert (second.document_id, second.fields) == (None, {"artist": None})
    assert second.origin == "refs.csv:5"
    assert isinstance(third, LocalFile)
    assert third.path == Path("/abs/d.png")


def test_json_lines_keep_types(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"path": "a.png", "id": "x#1", "n": 1, "tags": ["p"], "metadata": {"m": {}}}',
        b"",
        b'{"path": "s3://bucket/k e y.mp3"}',
        b'{"path": "https://example.org/a.mp3"}',
    ]
    found = read(tmp_path, "refs.jsonl", b"\n".join(lines))
    assert problems(found) == []
    assert found.files[0].document_id == "x#1"
    assert found.files[0].fields == {"n": 1, "tags": ["p"], "m": {}}
    remote = found.files[1]
    assert isinstance(remote, RemoteFile)
    assert remote.uri == "s3://bucket/k e y.mp3"
    assert isinstance(found.files[2], RemoteFile)


def test_a_wrong_json_line_costs_itself(tmp_path: Path) -> None:
    wrong: list[object] = [
        {"path": 3},
        {"id": "x"},
        ["a.png"],
        {"path": "a\0.png"},
        {"path": "a.png", "id": 7},
        {"path": "a.png", "id": "x" * 257},
        {"path": "a.png", "id": "a\nb"},
        {"path": "a.png", "metadata": [1]},
        {"path": "a.png", "sha256": "mine"},
        {"path": "a.png", "metadata": {"_internal": {}}},
        {"path": "a.png", "document_id": "meant as id"},
    ]
    lines = [b'{"path": "first.png", "id": "twice"}', *map(orjson.dumps, wrong)]
    lines += [
        b'{"path": "cut',
        b"\xff\xfe",
        b'{"path": "x", "id": "twice"}',
        b'{"path": "last.png"}',
    ]
    found = read(tmp_path, "refs.ndjson", b"\n".join(lines))
    assert [file.name for file in found.files] == ["first.png", "last.png"]
    assert [name for name, _ in problems(found)] == [f"refs.ndjson:{n}" for n in range(2, 16)]
    assert problems(found)[-1][1] == "line 1 has the id 'twice' already"


def test_a_wrong_csv_line_costs_itself(tmp_path: Path) -> None:
    text = (
        "path,id,metadata\n"
        "a.png,1\n"
        'b.png,2,"{bad"\n'
        'c"d.png,3,\n'
        '"e" f.png,4,\n'
        ",5,\n"
        "g.png,6,,,\n"
        "good.png,7,\n"
        '"never closed,8,\n'
    )
    found = read(tmp_path, "refs.csv", text)
    assert [file.name for file in found.files] == ['c"d.png', "good.png"]
    assert [name for name, _ in problems(found)] == [f"refs.csv:{n}" for n in (2, 3, 5, 6, 7, 9)]


def test_a_path_of_any_bytes_and_fields_that_are_no_text(tmp_path: Path) -> None:
    data = b"path,id,note\ncaf\xe9.png,1,\nx.png,2,caf\xe9\nx.png,caf\xe9,\ns3://b/caf\xe9,4,\n"
    found = read(tmp_path, "refs.csv", data)
    [file] = found.files
    assert isinstance(file, LocalFile)
    assert os.fsencode(file.path) == os.fsencode(tmp_path) + b"/caf\xe9.png"
    assert (file.name, file.raw_name) == ("caf\ufffd.png", b"caf\xe9.png")
    assert [name for name, _ in problems(found)] == ["refs.csv:3", "refs.csv:4", "refs.csv:5"]


@pytest.mark.parametrize("text", ["", "\n\n", "file,id\n", "path,path\n", "path,,id\n", '"path'])
def test_a_csv_without_a_header_is_no_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(ClientError):
        read(tmp_path, "refs.csv", text)


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    found = read(tmp_path, "refs.csv", b"path\n" + b"x" * 3_000_000 + b"\ngood.png\n")
    assert "good.png" in [file.name for file in found.files]
    assert found.problems

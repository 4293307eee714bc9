"""Scans in several calls: every file has one result, in order, whatever does not fit or exist."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from handlers import scanning
from handlers.client import Client, Reply
from handlers.client_errors import ClientError
from handlers.scanning import Reference, Scanner, media_input
from tests.handlers.transports import ScriptedTransport, Sent


class Echo(ScriptedTransport):
    """Answers each query with what it was asked; refuses calls of more than `most` queries."""

    def __init__(self, most: int = 50, status: int = 413) -> None:
        super().__init__()
        self.most = most
        self.status = status
        self.sizes: list[int] = []

    def answer(self, sent: Sent) -> Reply:
        queries = orjson.loads(sent.body)["queries"]
        if len(queries) > self.most:
            return Reply(self.status, {}, b"too large")
        self.sizes.append(len(queries))
        results = [{"asked": one["inputs"]["image"]} for one in queries]
        return Reply(200, {}, orjson.dumps({"results": results}))


def scanner(transport: Echo) -> Scanner:
    return Scanner(Client(transport), "ret_1", "image")


def urls(count: int) -> list[Reference]:
    return [Reference(f"https://host/{n}") for n in range(count)]


def asked(results: list[dict[str, Any]]) -> list[str]:
    return [result["asked"] for result in results]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (50, [50]), (51, [50, 1]), (0, [])])
def test_a_call_takes_fifty(count: int, sizes: list[int]) -> None:
    transport = Echo()
    assert asked(scanner(transport).scan(urls(count))) == [one.name for one in urls(count)]
    assert transport.sizes == sizes


def test_where_less_fits_files_go_in_halves() -> None:
    transport = Echo(most=3)
    assert asked(scanner(transport).scan(urls(10))) == [one.name for one in urls(10)]
    assert max(transport.sizes) <= 3


def test_a_file_that_fits_nowhere_fails_alone() -> None:
    results = scanner(Echo(most=0)).scan(urls(2))
    assert [result["status"] for result in results] == ["failed", "failed"]
    assert "larger" in results[0]["error"]["message"]


def test_another_refusal_is_no_result() -> None:
    with pytest.raises(ClientError):
        scanner(Echo(most=0, status=400)).scan(urls(2))


def test_calls_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_CALL_BYTES", 10)
    for n in range(4):
        (tmp_path / f"{n}").write_bytes(b"12345")
    transport = Echo()
    scanner(transport).scan([Reference(str(tmp_path / f"{n}")) for n in range(4)])
    assert transport.sizes == [2, 2]


def test_files_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    names = ["nowhere", "a", ".", "huge", "HTTPS://host/x"]
    references = [
        Reference(str(tmp_path / name) if n < 4 else name) for n, name in enumerate(names)
    ]
    results = scanner(Echo()).scan(references)
    assert [result.get("status", "sent") for result in results] == [
        *("failed", "sent", "failed", "failed", "sent")
    ]
    assert results[1]["asked"] == "data:application/octet-stream;base64,YWJj"
    assert results[4]["asked"] == "HTTPS://host/x"
    assert results[3]["error"]["message"] == "larger than 45 MB"


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"picture": "image"}, "picture"),
        ({"picture": "image", "brand": "string"}, "picture"),
        ({"a": "image", "b": "image"}, None),
        ({"url": "string"}, None),
        ({}, None),
    ],
)
def test_the_only_media_input_takes_the_file(schema: dict[str, str], found: str | None) -> None:
    fields = {name: {"type": kind} for name, kind in schema.items()}
    retriever = {"retriever_name": "r", "input_schema": fields}
    if found is not None:
        assert media_input(retriever) == found
        return
    with pytest.raises(ClientError, match="--input"):
        media_input(retriever)

"""Files told while a scan runs: each once, as soon as it is done, as the answer has it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deadline import NEVER
from core.errors import InvalidRequestError, NotFoundError
from core.models.base import parse_model
from core.models.scan_answers import ScanAnswer, ScannedFile
from core.models.scans import ScanRequest
from core.types import JsonObject
from tests.core.scan.world import TableFetcher, World, cells_of, result_of, url, world


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("data")) as made:
        yield made


def request_for(names: list[str], retrievers: list[str], **more: Any) -> ScanRequest:
    body = {"files": [url(name) for name in names], "retrievers": retrievers, **more}
    return parse_model(ScanRequest, body)


def told(here: World, request: ScanRequest) -> tuple[list[JsonObject], JsonObject]:
    """Return the files in the order in which they were told, and the answer."""
    files: list[JsonObject] = []

    async def on_file(file: JsonObject) -> None:
        await asyncio.sleep(0)
        files.append(file)

    work = here.scans.run(here.namespace, request, deadline=NEVER, on_file=on_file)
    answer = asyncio.run(work)
    ScanAnswer.model_validate(answer)
    return files, answer


NAMES = ["art0", "logo0", "new1", "art0~again", "new1~again", "sound1", "bad1", "torn1", "crash1"]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=10),
    concurrency=st.integers(1, 20),
    dedupe=st.booleans(),
)
def test_every_file_is_told_once_as_the_answer_has_it(
    here: World, names: list[str], concurrency: int, dedupe: bool
) -> None:
    more: dict[str, Any] = {"concurrency": concurrency, "settings": {"dedupe": dedupe}}
    files, answer = told(here, request_for(names, ["art", "logos"], **more))
    assert sorted(file["index"] for file in files) == list(range(len(names)))
    for file in files:
        assert file["scan_id"] == answer["scan_id"]
        rest = {name: value for name, value in file.items() if name != "scan_id"}
        assert rest == answer["files"][file["index"]]
        ScannedFile.model_validate(rest)
    quiet = here.scan([url(name) for name in names], **more)
    assert [f["verdict"] for f in answer["files"]] == [f["verdict"] for f in quiet["files"]]
    before, after = cells_of(quiet), cells_of(answer)
    assert {key: result_of(cell) for key, cell in after.items()} == {
        key: result_of(cell) for key, cell in before.items()
    }
    ids = [cell["execution_id"] for cell in after.values() if cell["execution_id"]]
    assert len(ids) == len(set(ids))


def test_a_slow_file_does_not_hold_back_what_is_told(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, whole = threading.Event(), TableFetcher.fetch

    def held(self: TableFetcher, content: str, **more: Any) -> Any:
        if content.endswith("new3"):
            assert gate.wait(10), "nothing was told meanwhile"
        return whole(self, content, **more)

    monkeypatch.setattr(TableFetcher, "fetch", held)
    order: list[int] = []

    async def on_file(file: JsonObject) -> None:
        order.append(file["index"])
        if set(order) == {1, 2}:
            gate.set()

    request = request_for(["new3", "art1", "new4"], ["art"])
    work = here.scans.run(here.namespace, request, deadline=NEVER, on_file=on_file)
    asyncio.run(work)
    assert (set(order[:2]), order[2]) == ({1, 2}, 0)


def test_nothing_is_told_before_the_canaries_are_known(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clear that a canary takes back later must never have been told."""
    names = [r.retriever_name for r in here.app.retrievers.all(here.namespace.namespace_id)]
    if "watched" not in names:
        here.retriever("watched", "art", verdict={"canary": "art4"})
        here.retriever("unwatched", "art", verdict={"canary": "nobody"})
    files, answer = told(here, request_for(["new1", "art0", "new2"], ["watched"]))
    assert {f["index"]: f["verdict"] for f in files} == {0: "clear", 1: "block", 2: "clear"}
    files, answer = told(here, request_for(["new1", "art0"], ["watched", "unwatched"]))
    assert {f["index"]: f["verdict"] for f in files} == {0: "unknown", 1: "block"}
    reasons = answer["files"][0]["retrievers"]["unwatched"]["reasons"]
    assert [reason["code"] for reason in reasons] == ["canary_missing"]


def test_what_time_ran_out_for_is_told_at_the_end(here: World) -> None:
    request = request_for(
        ["slow1", "art0", "slow2"], ["art"], concurrency=3, settings={"deadline_ms": 600}
    )
    files, answer = told(here, request)
    assert [file["index"] for file in files] == [1, 0, 2]
    assert {c["status"] for c in files[1]["retrievers"].values()} == {"timed_out"}
    assert answer["unprocessed"] == [
        {"file": 0, "retriever": "art"},
        {"file": 2, "retriever": "art"},
    ]


def test_files_that_were_done_before_are_told_again(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(["art0", "down1", "new1"], ["art"], idempotency_key="told")
    first = told(here, request)[1]
    whole = TableFetcher.fetch

    def fetch(self: TableFetcher, content: str, **more: Any) -> Any:
        return whole(self, content.replace("down", "new"), **more)

    monkeypatch.setattr(TableFetcher, "fetch", fetch)
    here.fetcher.calls.clear()
    files, second = told(here, request)
    assert sorted(file["index"] for file in files) == [0, 1, 2]
    assert files[0]["index"] == 1  # the only one that was asked about
    assert list(here.fetcher.calls) == ["new1"]
    assert second["scan_id"] == first["scan_id"]
    assert here.get(first["scan_id"])["files"] == second["files"]
    # Whether it is streamed is nothing that a key belongs to.
    assert (
        here.scan([url(n) for n in ("art0", "down1", "new1")], ["art"], idempotency_key="told")[
            "files"
        ]
        == second["files"]
    )


def test_what_is_told_is_signed_and_what_is_kept_is_not(here: World) -> None:
    mine = f"s3://assets/{here.namespace.namespace_id}/a.jpg"
    here.references("signed", ["art7"], image_url=mine)
    here.retriever("signed", "signed")
    request = request_for(["art7"], ["signed"], return_presigned_urls=True)
    [file], answer = told(here, request)
    [document] = file["retrievers"]["signed"]["documents"]
    assert document["image_url_presigned_url"].startswith("http")
    assert "presigned_url" not in str(here.scans._store.read(here.namespace, answer["scan_id"]))


def test_leaving_ends_the_scan_and_frees_its_key(here: World) -> None:
    asked = {"deadline_ms": 800}
    request = request_for(["new1", "slow1"], ["art"], idempotency_key="left", settings=asked)

    async def leave() -> None:
        begun = asyncio.Event()

        async def on_file(_file: JsonObject) -> None:
            begun.set()

        work = here.scans.run(here.namespace, request, deadline=NEVER, on_file=on_file)
        task = asyncio.create_task(work)
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(leave())
    files = [url("new1"), url("slow1")]
    again = here.scan(files, ["art"], idempotency_key="left", settings={"deadline_ms": 300})
    assert again["files"][0]["verdict"] == "clear"


def test_what_cannot_begin_is_known_before(here: World) -> None:
    with pytest.raises(NotFoundError):
        here.scans.check(here.namespace, request_for(["art0"], ["nobody"]))
    with pytest.raises(InvalidRequestError):
        here.scans.check(here.namespace, request_for(["art0"], ["art", "art"]))
    here.scans.check(here.namespace, request_for(["art0"], ["art"]))

"""Scans are kept: read again by their own namespace, continued under a key, never run twice."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.deadline import NEVER
from core.errors import (
    ConflictError,
    IdempotencyError,
    NotFoundError,
    UnavailableError,
)
from core.models.base import parse_model
from core.models.namespaces import Namespace
from core.models.retriever import RetrieverPatch
from core.models.scans import ScanRequest
from core.scan.store import ScanStore
from core.types import JsonObject
from tests.core.scan.world import (
    TableFetcher,
    World,
    add_references,
    cells_of,
    make_retriever,
    url,
    world,
)
from tests.core.service import make_namespace


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every host answer from now on."""
    whole = TableFetcher.fetch

    def fetch(self: TableFetcher, content: str, **more: Any) -> Any:
        return whole(self, content.replace("down", "new"), **more)

    monkeypatch.setattr(TableFetcher, "fetch", fetch)


def test_a_scan_is_read_again_as_it_was(here: World) -> None:
    answer = here.scan([url("art0"), url("new1"), url("bad1"), url("sound1")])
    assert here.get(answer["scan_id"]) == answer
    assert here.get(answer["scan_id"]) == answer


@pytest.mark.parametrize("name", ["scan_0", "", "../x", "a/b", "\x00", "é" * 300])
def test_a_scan_that_is_not_there_is_not_found(here: World, name: str) -> None:
    with pytest.raises(NotFoundError):
        here.get(name)


def test_namespaces_see_their_own_scans_alone(here: World) -> None:
    mine = here.scan([url("art0")], idempotency_key="k")
    other = make_namespace(here.app, "other")
    with pytest.raises(NotFoundError):
        here.get(mine["scan_id"], namespace=other)
    with pytest.raises(NotFoundError):
        here.scan([url("art0")], namespace=other)
    add_references(here.app, other, "art", ["new5"])
    make_retriever(here.app, other, "art", "art")
    theirs = here.scan([url("art0")], ["art"], namespace=other, idempotency_key="k")
    assert theirs["scan_id"] != mine["scan_id"]
    assert theirs["files"][0]["verdict"] == "clear"


def test_a_namespace_that_takes_an_id_again_finds_nothing_of_the_last_one(here: World) -> None:
    mine = here.scan([url("art0")], ["art"], idempotency_key="k")
    namespace_id = here.namespace.namespace_id
    successor = Namespace.from_json({**here.namespace.to_json(), "created_at": "2099"})
    assert successor.namespace_id == namespace_id
    with pytest.raises(NotFoundError):
        here.get(mine["scan_id"], namespace=successor)
    again = here.scan([url("art0")], ["art"], namespace=successor, idempotency_key="k")
    assert again["scan_id"] != mine["scan_id"]


def test_a_deleted_namespace_leaves_no_scan_behind(here: World) -> None:
    here.scan([url("art0")], ["art"], idempotency_key="k")
    kept = here.app.engine._delivery.results
    place = here.namespace.namespace_id
    assert list(kept.list(f"{place}/"))
    here.app.namespaces.delete(place)
    assert not list(kept.list(f"{place}/"))
    assert not here.app.records.list(f"scans/{place}").records


def test_a_key_runs_again_only_what_has_not_succeeded(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["art0", "down1", "bad1", "torn1", "down1", "sound1"]
    files = [url(name) for name in names]
    first = here.scan(files, idempotency_key="k")
    assert [one["file"] for one in first["unprocessed"]] == [1, 1, 4, 4]
    here.references("art", ["art9"])  # a new version of what was searched
    mended(monkeypatch)
    here.extractor.calls.clear()
    second = here.scan(files, idempotency_key="k", concurrency=3, settings={"deadline_ms": 9000})
    assert second["scan_id"] == first["scan_id"]
    assert second["created_at"] == first["created_at"]
    assert second["unprocessed"] == []
    before, after = cells_of(first), cells_of(second)
    for key in before:
        if key[0] in (1, 4):
            assert after[key]["status"] == "completed"
            assert after[key]["evidence"]["snapshots"] != before[key]["evidence"]["snapshots"] or (
                key[1] == "logos"
            )
        else:
            assert after[key] == before[key]
    assert second["files"][4]["duplicate_of"] == 1
    assert second["files"][0] == first["files"][0]
    assert len(here.extractor.calls) == 1
    assert here.get(first["scan_id"])["files"] == second["files"]
    here.fetcher.calls.clear()
    third = here.scan(files, idempotency_key="k")
    assert not here.fetcher.calls
    assert third["files"] == second["files"]


def test_a_file_that_changed_is_looked_at_again_by_all(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said of other bytes must not clear these."""
    here.retriever("watched", "logos", verdict={"canary": "bird"})
    names = ["art", "watched"]
    files = [url("new1"), url("new2")]
    first = here.scan(files, names, idempotency_key="k")
    words = [cell["verdict"] for cell in cells_of(first).values()]
    assert words == ["clear", "unknown", "clear", "unknown"]
    here.references("logos", ["bird"])
    whole = TableFetcher.fetch

    def fetch(self: TableFetcher, content: str, **more: Any) -> Any:
        return whole(self, content.replace("new1", "art3"), **more)

    monkeypatch.setattr(TableFetcher, "fetch", fetch)
    second = here.scan(files, names, idempotency_key="k")
    words = [cell["verdict"] for cell in cells_of(second).values()]
    assert words == ["block", "clear", "clear", "clear"]
    assert second["files"][0]["sha256"] != first["files"][0]["sha256"]
    assert cells_of(second)[1, "art"] == cells_of(first)[1, "art"]


def test_kept_cells_of_an_older_world_are_told(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [url("new1"), url("down1")]
    assert here.scan(files, idempotency_key="k")["warnings"] == []
    here.references("art", ["art9"])
    rule = parse_model(RetrieverPatch, {"verdict": {"block_at": 0.9}})
    here.app.retrievers.patch(here.namespace, "logos", rule, check=here.app.engine.check)
    mended(monkeypatch)
    art, logos = here.scan(files, idempotency_key="k")["warnings"]
    assert "1 cells were kept from an earlier call, with an older version of the collection" in art
    assert "an older version of the retriever logos" in logos


def test_equal_files_of_which_one_failed_are_continued_apart(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [url("new1"), url("down1")]  # equal, once the second's host answers
    here.scan(files, ["art"], idempotency_key="k")
    mended(monkeypatch)
    answer = here.scan(files, ["art"], idempotency_key="k")
    assert [file["verdict"] for file in answer["files"]] == ["clear", "clear"]
    assert answer["unprocessed"] == []


def test_a_canary_that_was_missing_is_looked_for_again(here: World) -> None:
    here.retriever("watched", "art", verdict={"canary": "bird"})
    first = here.scan([url("new1"), url("art0")], ["watched"], idempotency_key="k")
    assert [file["verdict"] for file in first["files"]] == ["unknown", "block"]
    here.references("art", ["bird"])
    second = here.scan([url("new1"), url("art0")], ["watched"], idempotency_key="k")
    assert [file["verdict"] for file in second["files"]] == ["clear", "block"]
    assert second["files"][1] == first["files"][1]


@pytest.mark.parametrize(
    "change",
    [
        {"files": [url("art1")]},
        {"retrievers": ["art"]},
        {"settings": {"limit": 1}},
        {"files": [{"file": url("art0"), "id": "x"}]},
    ],
)
def test_a_key_belongs_to_one_request(here: World, change: JsonObject) -> None:
    body: JsonObject = {"files": [url("art0")], "retrievers": ["art", "logos"]}
    here.scan(**body, idempotency_key="k")
    with pytest.raises(IdempotencyError):
        here.scan(**{**body, **change}, idempotency_key="k")


async def both_of(one: Callable[[], Any], count: int) -> list[Any]:
    return await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)


def test_two_at_once_under_one_key_run_once(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, whole = threading.Event(), TableFetcher.fetch

    def held(self: TableFetcher, content: str, **more: Any) -> Any:
        gate.wait(10)
        return whole(self, content, **more)

    monkeypatch.setattr(TableFetcher, "fetch", held)
    body = {"files": [url("art0")], "retrievers": ["art"], "idempotency_key": "k"}
    request = parse_model(ScanRequest, body)

    async def one() -> Any:
        try:
            return await here.scans.run(here.namespace, request, deadline=NEVER)
        except ConflictError:
            gate.set()
            raise

    answers = asyncio.run(both_of(one, 2))
    lost = [answer for answer in answers if isinstance(answer, ConflictError)]
    assert len(lost) == 1
    assert lost[0].retry_after_seconds
    (won,) = [answer for answer in answers if isinstance(answer, dict)]
    assert here.fetcher.calls["art0"] == 1
    assert here.scan([url("art0")], ["art"], idempotency_key="k")["scan_id"] == won["scan_id"]


def test_who_hangs_up_at_the_end_leaves_a_scan_that_is_kept(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: JsonObject = {"files": [url("art0")], "retrievers": ["art"], "idempotency_key": "k"}
    request = parse_model(ScanRequest, body)
    scans, gate, pool = here.scans, threading.Event(), here.scans._services.pool
    scan = scans._scan

    async def then_no_thread_is_free(*arguments: Any) -> Any:
        done = await scan(*arguments)
        for _ in range(100):
            pool.submit(gate.wait, 10)
        return done

    async def hang_up() -> None:
        arrived = asyncio.Event()

        async def never(*_: Any, **__: Any) -> Any:
            arrived.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(scans, "_scan", then_no_thread_is_free)
        monkeypatch.setattr(scans, "deliver", never)
        run = asyncio.create_task(scans.run(here.namespace, request, deadline=NEVER))
        await arrived.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        gate.set()
        await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "keep a scan"))

    asyncio.run(hang_up())
    monkeypatch.undo()
    assert here.scan(**body)["status"] == "completed"
    assert here.fetcher.calls["art0"] == 1


def test_a_run_that_fails_as_a_whole_frees_its_key(here: World) -> None:
    body: JsonObject = {"files": [url("new1")], "idempotency_key": "k"}
    with pytest.raises(NotFoundError):
        here.scan(**body, retrievers=["later"])
    here.retriever("later", "art")
    assert here.scan(**body, retrievers=["later"])["files"][0]["verdict"] == "clear"


def test_a_run_that_died_frees_its_key_in_time(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"files": [url("art0")], "retrievers": ["art"], "idempotency_key": "k"}
    request = parse_model(ScanRequest, body)
    store: ScanStore = here.scans._store
    store.claim(here.namespace, request, NEVER)  # and never heard of again
    with pytest.raises(ConflictError):
        here.scan([url("art0")], ["art"], idempotency_key="k")
    now = store._now
    monkeypatch.setattr(store, "_now", lambda: now() + 3600)
    assert here.scan([url("art0")], ["art"], idempotency_key="k")["status"] == "completed"


def test_a_scan_that_cannot_be_kept_is_answered_all_the_same(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise UnavailableError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(ScanStore, "finish", broken)
        answer = here.scan([url("art0")], idempotency_key="k")
    assert answer["files"][0]["verdict"] == "block"
    assert "no space left" in answer["warnings"][0]
    with pytest.raises(NotFoundError):
        here.get(answer["scan_id"])
    assert here.scan([url("art0")], idempotency_key="k")["warnings"] == []


def test_what_is_too_large_moves_out_and_the_verdicts_stay(tmp_path: Path) -> None:
    with world(tmp_path, spill_bytes=24_000) as here:
        here.references("art", [f"more{n}" for n in range(40)])
        names = [url(f"art{n % 3}") for n in range(6)]
        answer = here.scan(names, ["art"], settings={"limit": 40})
        moved = [c for c in cells_of(answer).values() if c.get("documents_count")]
        assert moved
        assert {cell["verdict"] for cell in cells_of(answer).values()} == {"block"}
        assert {cell["documents_count"] for cell in moved} == {25}
        again = here.get(answer["scan_id"])
        assert [f["verdict"] for f in again["files"]] == ["block"] * 6


def test_equal_files_count_each_time(tmp_path: Path) -> None:
    with world(tmp_path, spill_bytes=100_000) as here:
        here.references("art", [f"more{n}" for n in range(40)], text="x" * 200)
        answer = here.scan([url("art0")] * 50, ["art"], settings={"limit": 25})
        assert len(orjson.dumps(answer)) < 100_000
        cells = cells_of(answer).values()
        assert {cell["documents_count"] for cell in cells} == {25}
        assert len({cell["documents_url"] for cell in cells}) == 1


def test_urls_are_signed_anew_only_if_they_were_asked_for(here: World) -> None:
    mine = f"s3://assets/{here.namespace.namespace_id}/a.jpg"
    here.references("art", ["art0"], image_url=mine, other_url="s3://assets/somebody/b.jpg")
    plain = here.scan([url("art0"), url("art0~again")], ["art"])
    assert "presigned" not in str(plain)
    assert here.get(plain["scan_id"]) == plain
    later = here.get(plain["scan_id"], presign=True)
    signed = here.scan([url("art0")], ["art"], return_presigned_urls=True)
    for answer in (later, signed, here.get(signed["scan_id"])):
        for cell in cells_of(answer).values():
            (document,) = [d for d in cell["documents"] if d["document_id"] == "art0"]
            assert document["image_url_presigned_url"].startswith("http")
            assert "somebody" not in document.get("other_url_presigned_url", "")
            assert "outside" in document["other_url_unavailable_reason"]
    kept = here.scans._store.read(here.namespace, signed["scan_id"])
    assert "presigned_url" not in str(kept)

"""The promises of a scan under faults: every cell answered once, by itself, as a batch would."""

import asyncio
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.deadline import NEVER
from core.errors import (
    IdempotencyError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from core.media.extractors import find_extractor
from core.models.base import parse_model
from core.models.scans import ScanRequest
from core.runtime.pipeline import prepare_query
from core.scan.verdicts import worst
from core.storage.collections import CollectionStore
from core.types import JsonObject
from tests.core.scan.world import HASH, World, bytes_of, cells_of, result_of, url, world

RETRIEVERS = ("art", "logos")
HEALTHY = ["art0", "art1", "logo0", "new1", "new2", "art0~again", "new1~again", "sound1"]
FAULTY = ["bad1", "down1", "torn1", "crash1", "torn1~again"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture(scope="module")
def alone(here: World) -> dict[tuple[str, str], JsonObject]:
    """What a batch says of each file, each retriever."""
    names = [*HEALTHY, *FAULTY]
    return {
        (name, retriever): result_of(result)
        for retriever in RETRIEVERS
        for name, result in zip(names, here.batch(names, retriever), strict=True)
    }


def check_whole(answer: JsonObject, names: list[str]) -> None:
    """Check what holds of every answer, whatever happened."""
    assert [file["index"] for file in answer["files"]] == list(range(len(names)))
    assert all(list(file["retrievers"]) == list(RETRIEVERS) for file in answer["files"])
    cells = cells_of(answer)
    again = [key for key, cell in cells.items() if (cell["error"] or {}).get("retryable")]
    assert [(one["file"], one["retriever"]) for one in answer["unprocessed"]] == again
    ids = [cell["execution_id"] for cell in cells.values() if cell["execution_id"]]
    assert len(ids) == len(set(ids))
    for file in answer["files"]:
        words = [c["verdict"] for c in file["retrievers"].values()]
        assert file["verdict"] == worst(w for w in words if w != "not_applicable")
        if file["verdict"] == "clear":
            done = {c["status"] for c in file["retrievers"].values()}
            assert done <= {"completed", "skipped"}
            assert file["complete"]


def check_cells(answer: JsonObject, names: list[str], alone: Any) -> None:
    """Check that each cell that was run says what a batch says."""
    for (index, retriever), cell in cells_of(answer).items():
        name = names[index]
        if name.startswith("sound"):
            assert (cell["status"], cell["verdict"]) == ("skipped", "not_applicable")
        elif cell["status"] != "timed_out":
            assert result_of(cell) == alone[name, retriever]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    names=st.lists(st.sampled_from([*HEALTHY, *FAULTY]), min_size=1, max_size=12),
    concurrency=st.integers(1, 20),
    dedupe=st.booleans(),
)
def test_every_cell_is_what_a_batch_says(
    here: World,
    alone: dict[tuple[str, str], JsonObject],
    names: list[str],
    concurrency: int,
    dedupe: bool,
) -> None:
    here.fetcher.calls.clear()
    here.extractor.calls.clear()
    files = [url(name) for name in names]
    answer = here.scan(files, concurrency=concurrency, settings={"dedupe": dedupe})
    check_whole(answer, names)
    check_cells(answer, names, alone)
    assert 1 <= answer["concurrency"]["peak"] <= concurrency
    assert max(here.extractor.calls.values(), default=1) == 1
    for index, (name, file) in enumerate(zip(names, answer["files"], strict=True)):
        first = next(n for n, other in enumerate(names) if _is_equal(name, other))
        assert file["duplicate_of"] == (first if dedupe and first != index else None)
        if dedupe:
            assert here.fetcher.calls[name] == 1


def _is_equal(name: str, other: str) -> bool:
    """Say whether two files are one: by their names, or by what was fetched."""
    fetched = not name.startswith(("bad", "down"))
    return name == other or (fetched and bytes_of(name) == bytes_of(other))


@pytest.mark.parametrize("deadline_ms", [1, 10, 40, 120, 300])
def test_the_answer_leaves_in_time_with_every_finished_cell(
    here: World, alone: dict[tuple[str, str], JsonObject], deadline_ms: int
) -> None:
    names = ["slow1", "art0", "hang1", "new1", "torn1", "hang1~again", "art0~again", "bad1"]
    try:
        answer = here.scan(
            [url(name) for name in names], concurrency=8, settings={"deadline_ms": deadline_ms}
        )
    except UnavailableError:
        assert deadline_ms < 100  # not even the retrievers were read
        return
    check_whole(answer, names)
    check_cells(answer, names, alone)
    cells = cells_of(answer)
    for index, name in enumerate(names):
        if name.startswith(("slow", "hang")):
            assert {cells[index, r]["status"] for r in RETRIEVERS} == {"timed_out"}
            assert {cells[index, r]["verdict"] for r in RETRIEVERS} == {"unknown"}


def test_files_behind_slow_ones_are_not_lost_to_them(here: World) -> None:
    names = ["slow1", "art0"]
    answer = here.scan([url(name) for name in names], concurrency=1, settings={"deadline_ms": 100})
    assert [file["verdict"] for file in answer["files"]] == ["unknown", "unknown"]
    assert [one["file"] for one in answer["unprocessed"]] == [0, 0, 1, 1]
    assert answer["status"] == "failed"


def test_a_cell_that_swallows_a_cancellation_does_not_outlive_the_answer(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stubborn(*_: Any, **__: Any) -> Any:
        for _time in range(3):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue
        raise asyncio.CancelledError

    monkeypatch.setattr("core.scan.run.answer_query", stubborn)
    body = {"files": [url("art0"), url("new1")], "retrievers": list(RETRIEVERS)}
    request = parse_model(ScanRequest, {**body, "settings": {"deadline_ms": 100}})

    async def work() -> tuple[JsonObject, int]:
        answer = await here.scans.run(here.namespace, request, deadline=NEVER)
        return answer, len(asyncio.all_tasks()) - 1

    answer, left = asyncio.run(work())
    assert {cell["status"] for cell in cells_of(answer).values()} == {"timed_out"}
    assert left == 0


def test_a_defect_in_one_cell_stays_in_it(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare_query

    def defective(environment: Any, plan: Any, *rest: Any, **more: Any) -> Any:
        if plan.plan.retriever_name == "logos":
            raise ValueError("a secret of ours")
        return whole(environment, plan, *rest, **more)

    monkeypatch.setattr("core.runtime.query.prepare_query", defective)
    (file,) = here.scan([url("new1")])["files"]
    words = {name: cell["verdict"] for name, cell in file["retrievers"].items()}
    assert words == {"art": "clear", "logos": "unknown"}
    assert "secret" not in str(file)


def test_a_file_is_what_it_is(here: World) -> None:
    file, sound = here.scan([{"file": url("art0"), "id": "mine"}, url("sound1")])["files"]
    data = bytes_of("art0")
    assert (file["id"], file["size_bytes"], file["content_type"]) == (
        "mine",
        len(data),
        "image/jpeg",
    )
    assert (file["width"], file["height"], file["duration_ms"]) == (4, 3, None)
    assert (sound["content_type"], sound["verdict"]) == ("audio/mpeg", "unknown")
    assert {reason["code"] for reason in sound["reasons"]} == {"not_applicable"}
    assert file["retrievers"]["art"]["best_match"]["name"] == "art0.jpg"


def test_what_one_retriever_cannot_use_another_still_clears(here: World) -> None:
    sounds = find_extractor("audio.chromaprint")
    here.references("sounds", ["sound8", "sound9"], sounds.index_name)
    here.retriever("sounds", "sounds", kind="audio", feature=sounds.feature_uri)
    answer = here.scan([url("new1")], ["art", "sounds"])
    (file,) = answer["files"]
    assert (file["verdict"], file["complete"]) == ("clear", True)
    assert file["retrievers"]["sounds"]["status"] == "skipped"


def test_a_file_without_what_a_retriever_listens_to_is_none_of_its_business(here: World) -> None:
    (file,) = here.scan([url("mute1")], ["art"])["files"]
    (cell,) = file["retrievers"].values()
    assert (cell["status"], cell["verdict"]) == ("skipped", "not_applicable")
    assert cell["reasons"][0]["message"] == "the file has no sound in it"
    assert (file["verdict"], file["complete"]) == ("unknown", False)


def test_inputs_that_templates_write_otherwise_are_different(here: World) -> None:
    here.references("numbered", ["art0"], release="v1.0")
    here.references("numbered", ["art1"], release="v1")
    numbered = {"field": "release", "operator": "eq", "value": "v{{INPUT.n}}"}
    schema = {"file": {"type": "image", "required": True}, "n": {"type": "number"}}
    here.retriever("numbered", "numbered", search={"filters": numbered}, input_schema=schema)
    for numbers in ((1, 1.0), (1.0, 1)):
        files = [{"file": url("art0"), "inputs": {"n": n}} for n in numbers]
        found = here.scan(files, ["numbered"])["files"]
        words = {type(n): file["verdict"] for n, file in zip(numbers, found, strict=True)}
        assert words == {int: "clear", float: "block"}


def test_other_inputs_make_equal_files_different(here: World) -> None:
    files = [{"file": url("new1"), "inputs": {"n": n}} for n in (1, 2, 1)]
    answer = here.scan(files)
    assert [file["duplicate_of"] for file in answer["files"]] == [None, None, 0]


def test_a_retriever_that_cannot_be_loaded_costs_its_own_cells(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CollectionStore.snapshot
    logos = here.app.collections.find(here.namespace.namespace_id, "logos").collection_id

    def broken(store: CollectionStore, namespace_id: str, collection_id: str) -> Any:
        if collection_id == logos:
            raise UnavailableError("the store does not answer")
        return whole(store, namespace_id, collection_id)

    monkeypatch.setattr(CollectionStore, "snapshot", broken)
    (file,) = here.scan([url("new1")])["files"]
    assert file["retrievers"]["art"]["verdict"] == "clear"
    assert file["retrievers"]["logos"]["error"]["retryable"] is True
    assert file["verdict"] == "unknown"
    with pytest.raises(UnavailableError):
        here.scan([url("new1")], ["logos"])


def test_a_file_is_fetched_once_and_decoded_once_per_kind_of_feature(here: World) -> None:
    """Whatever the number of retrievers, and of other names for the same file."""
    old = "mixpeek://image.pdq@v1/hash"
    here.references("old-art", ["art0", "art1"], "image_pdq_v1_hash")
    for name in ("old-one", "old-two"):
        here.retriever(name, "old-art", feature=old)
    here.retriever("art-three", "art")
    names = ["art", "logos", "art-three", "old-one", "old-two"]
    here.fetcher.calls.clear()
    here.extractor.calls.clear()
    answer = here.scan([url("art0"), url("art0"), url("art0~again"), url("new7")], names)
    assert {cell["status"] for cell in cells_of(answer).values()} == {"completed"}
    assert here.fetcher.calls == {"art0": 1, "art0~again": 1, "new7": 1}
    assert here.extractor.calls == {
        (extractor, bytes_of(name)): 1
        for extractor in ("image.pdq@v2", "image.pdq@v1")
        for name in ("art0", "new7")
    }


def test_vectors_leave_where_they_are_asked_for(here: World) -> None:
    plain = here.scan([url("art0")], ["art"])
    asked = here.scan([url("art0")], ["art"], return_vectors=True)
    [[document], [with_vector]] = [
        [d for d in cell["documents"] if d["document_id"] == "art0"]
        for answer in (plain, asked)
        for cell in cells_of(answer).values()
    ]
    digest = hashlib.sha256(bytes_of("art0")).hexdigest()
    assert with_vector == {**document, HASH: digest}
    assert here.get(asked["scan_id"]) == asked


def test_a_key_with_vectors_is_another_request(here: World) -> None:
    here.scan([url("art0")], ["art"], idempotency_key="vectors")
    with pytest.raises(IdempotencyError):
        here.scan([url("art0")], ["art"], idempotency_key="vectors", return_vectors=True)


PRICED = {
    "file": {"type": "image", "required": True},
    "brand": {"type": "string", "required": True},
}
OF_A_BRAND = {"filters": {"field": "brand", "operator": "eq", "value": "{{INPUT.brand}}"}}


def test_a_canary_may_need_more_inputs_than_the_file(here: World) -> None:
    """Each file brings its own; nobody could say what the canary's are, but the rule."""
    here.references("branded", ["bird"], brand="acme")
    here.references("branded", ["song"], brand="zeta")
    rules: dict[str, JsonObject] = {
        "told": {"canary": {"document_id": "bird", "inputs": {"brand": "acme"}}},
        "silent": {"canary": "bird"},
        "wrong": {"canary": {"document_id": "bird", "inputs": {"brand": "zeta"}}},
        "taken": {"canary": {"document_id": "bird", "inputs": {"brand": "acme", "file": "x"}}},
    }
    for name, rule in rules.items():
        schema = {"input_schema": PRICED, "verdict": rule}
        here.retriever(name, "branded", search=OF_A_BRAND, **schema)
    file = {"file": url("new1"), "inputs": {"brand": "zeta"}}
    answer = here.scan([file], list(rules))
    canaries = {one["retriever_name"]: one["canary"] for one in answer["retrievers"]}
    assert [canary["document_id"] for canary in canaries.values()] == ["bird"] * 4
    assert canaries["told"] == {"document_id": "bird", "found": True, "reason": None}
    assert canaries["silent"]["reason"]["code"] == "canary_failed"
    assert "brand" in canaries["silent"]["reason"]["message"]
    assert "verdict.canary.inputs" in canaries["silent"]["reason"]["message"]
    assert canaries["wrong"]["reason"]["code"] == "canary_missing"
    assert canaries["taken"]["reason"]["code"] == "canary_failed"
    words = {name: cell["verdict"] for (_, name), cell in cells_of(answer).items()}
    assert words == {"told": "clear", "silent": "unknown", "wrong": "unknown", "taken": "unknown"}


def test_all_retrievers_see_one_version_of_a_collection(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.retriever("art-too", "art")
    whole, numbers = CollectionStore.snapshot, itertools.count()

    def written_meanwhile(store: CollectionStore, *place: str) -> Any:
        here.references("art", [f"other{next(numbers)}"])
        return whole(store, *place)

    monkeypatch.setattr(CollectionStore, "snapshot", written_meanwhile)
    (file,) = here.scan([url("new1")], ["art", "art-too"])["files"]
    first, second = (cell["evidence"] for cell in file["retrievers"].values())
    assert first == second


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"retrievers": ["art", "art"]}, "retrievers.1"),
        ({"files": [{"file": "x", "inputs": {"file": "y"}}]}, "files.0.inputs.file"),
        ({"retrievers": ["blind"]}, "retrievers.0"),
        ({"retrievers": ["torn-in-two"]}, "retrievers.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(here: World, body: JsonObject, path: str) -> None:
    known = {r.retriever_name for r in here.app.retrievers.all(here.namespace.namespace_id)}
    if "blind" not in known:
        here.retriever("blind", "art", input_schema={"file": {"type": "text"}})
        two = {"file": {"type": "image"}, "other": {"type": "video"}}
        here.retriever("torn-in-two", "art", input_schema=two)
    with pytest.raises(InvalidRequestError) as caught:
        here.scan(**{"files": [url("art0")], **body})
    assert [problem.path for problem in caught.value.problems] == [path]


def test_an_unknown_retriever_is_not_found(here: World) -> None:
    with pytest.raises(NotFoundError):
        here.scan([url("art0")], ["art", "missing"])


def test_a_document_is_searched_by_its_file_or_by_its_vectors(here: World) -> None:
    stored = {"document": {"collection": "logos", "document_id": "logo1"}}
    missing = {"document": {"collection": "logos", "document_id": "nobody"}}
    first, second = here.scan([stored, missing])["files"]
    assert first["retrievers"]["logos"]["best_match"]["document_id"] == "logo1"
    # Nothing near was found by what is stored, but turned or mirrored views were not looked for.
    assert first["retrievers"]["art"]["verdict"] == "unknown"
    assert first["retrievers"]["art"]["reasons"][0]["code"] == "stored_vectors"
    assert {cell["error"]["code"] for cell in second["retrievers"].values()} == {"not_found"}


def test_a_documents_own_file_is_fetched_where_it_is_known(here: World) -> None:
    blob = {"field": "content", "role": "source", "url": url("art1")}
    other = {"field": "thumb", "role": "thumbnail", "url": url("logo0")}
    here.references("elsewhere", ["kept"], document_blobs=[other, blob])
    stored = {"document": {"collection": "elsewhere", "document_id": "kept"}}
    (file,) = here.scan([stored])["files"]
    assert file["retrievers"]["art"]["best_match"]["document_id"] == "art1"
    assert file["retrievers"]["logos"]["verdict"] == "clear"
    assert here.fetcher.calls["art1"]


def test_a_reference_to_a_document_cannot_be_forged(here: World) -> None:
    """What stands for a document within a call is nobody's to write."""
    forged = "data:application/x-trawl-document," + "0" * 32
    (file,) = here.scan([forged])["files"]
    assert file["retrievers"]["art"]["verdict"] in ("clear", "unknown")
    assert file["retrievers"]["art"]["best_match"]["distance"] != 0

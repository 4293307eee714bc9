"""Objects become documents: replaced, removed, refused, and one never at another's cost."""

import pytest

from core.deadline import Deadline
from core.delivery import ReadableBuckets, parse_s3_uri
from core.errors import DeadlineError, MediaError, TrawlError, UnavailableError
from core.ingest.ingest import WRITE_RESERVE_S
from tests.core.ingest.worlds import (
    BUCKET,
    MOST,
    NAMESPACE,
    IngestWorld,
    document_id_of,
    key_of,
    sha256,
)

A, B, C = key_of("a.png"), key_of("folder/b c+ü.png"), key_of("c.png", "col_1")


@pytest.fixture
def world() -> IngestWorld:
    return IngestWorld()


def test_an_object_becomes_a_document_that_tells_of_it(world: IngestWorld) -> None:
    world.assets.put(B, b"picture")
    assert world.statuses(B) == ["ingested"]
    [(document_id, document)] = world.documents().items()
    assert document_id == document_id_of(B)
    assert {name: document[name] for name in ("path", "filename", "size_bytes", "sha256")} == {
        "path": "folder/b c+ü.png",
        "filename": "b c+ü.png",
        "size_bytes": 7,
        "sha256": sha256(b"picture"),
    }
    [blob] = document["document_blobs"]
    assert blob["url"] == f"s3://{BUCKET}/{B}"
    assert document["_internal"]["lineage"]["source_type"] == "bucket"


def test_what_is_ingested_may_be_presigned(world: IngestWorld) -> None:
    world.assets.put(A, b"picture")
    world.run(A)
    [document] = world.documents().values()
    place = parse_s3_uri(document["document_blobs"][0]["url"])
    assert place is not None
    assert ReadableBuckets.of(NAMESPACE, BUCKET).refusal(*place) is None


def test_a_collection_may_be_named_by_its_id_or_its_name(world: IngestWorld) -> None:
    world.assets.put(A, b"one")
    world.assets.put(C, b"two")
    assert world.statuses(A, C) == ["ingested", "ingested"]
    assert world.hashes() == {A: sha256(b"one"), C: sha256(b"two")}


def test_all_files_of_a_collection_are_one_write(world: IngestWorld) -> None:
    keys = [key_of(f"{n}.png") for n in range(10)]
    for key in keys:
        world.assets.put(key, key.encode())
    before = world.index.store.describe("ns_1", "col_1").version
    assert world.statuses(*keys, *keys) == ["ingested"] * 20
    assert world.index.store.describe("ns_1", "col_1").version == before + 1
    assert len(world.extractor.calls) == 10


def test_a_duplicate_event_reads_no_file_again_and_writes_nothing(world: IngestWorld) -> None:
    world.assets.put(A, b"picture*2")
    world.run(A)
    version = world.index.store.describe("ns_1", "col_1").version
    assert world.statuses(A) == ["unchanged"]
    assert world.extractor.calls == [b"picture*2"]
    assert world.index.store.describe("ns_1", "col_1").version == version


def test_an_overwritten_object_replaces_all_that_stood_for_it(world: IngestWorld) -> None:
    for data, ids in (
        (b"long*3", {f"{document_id_of(A)}#{n}" for n in range(3)}),
        (b"longer*4", {f"{document_id_of(A)}#{n}" for n in range(4)}),
        (b"short*2", {f"{document_id_of(A)}#{n}" for n in range(2)}),
        (b"single", {document_id_of(A)}),
    ):
        world.assets.put(A, data)
        assert world.statuses(A) == ["ingested"]
        assert set(world.documents()) == ids
        assert world.hashes() == {A: sha256(data)}


def test_a_removed_object_takes_its_documents_with_it_and_no_others(world: IngestWorld) -> None:
    for key, data in ((A, b"one*3"), (B, b"two")):
        world.assets.put(key, data)
    world.run(A, B)
    world.assets.remove(A)
    assert world.statuses(A) == ["removed"]
    assert world.hashes() == {B: sha256(b"two")}
    assert world.statuses(A) == ["unchanged"]


def test_a_file_that_says_too_little_is_stored_and_said_to_be_so(world: IngestWorld) -> None:
    world.assets.put(A, b"plain*0")
    outcome = world.run(A)[A]
    assert (outcome.status, outcome.warnings) == ("ingested", ("too little detail",))
    assert set(world.documents()) == {document_id_of(A)}


def test_other_objects_of_the_bucket_are_not_even_looked_at(world: IngestWorld) -> None:
    def refuse(operation: str, key: str) -> None:
        raise AssertionError(key)

    world.assets.before = refuse
    keys = ["ns_1/images/a.png", "a.png", "ns_1/ingest", "//ingest/a", "ns_1/ingest/logos/"]
    assert world.statuses(*keys) == ["ignored"] * 5


@pytest.mark.parametrize(
    ("key", "data", "code", "said"),
    [
        (key_of("x.png", "nobody"), b"x", "not_found", "nobody"),
        ("ns_2/ingest/logos/x.png", b"x", "not_found", "ns_2"),
        ("space/ingest/logos/x.png", b"x", "not_found", "ns_1/ingest/"),
        (key_of("x.png", "bare"), b"x", "validation_failed", "feature_extractor"),
        (key_of("x.png"), b"x" * (MOST + 1), "media_unreadable", "at most 1000"),
        (key_of("x.png"), b"broken", "media_unreadable", "broken"),
        ("ns_1/ingest/x.png", b"x", "validation_failed", "names no collection"),
        ("ns_1/ingest//x.png", b"x", "validation_failed", "names no collection"),
        # What a shell makes of a variable that is not set.
        ("/ingest/logos/x.png", b"x", "validation_failed", "names no namespace"),
    ],
)
def test_what_will_never_work_fails_alone_and_says_why(
    world: IngestWorld, key: str, data: bytes, code: str, said: str
) -> None:
    world.assets.put(A, b"good")
    world.assets.put(key, data)
    outcomes = world.run(key, A)
    assert outcomes[A].status == "ingested"
    error = outcomes[key].error
    assert outcomes[key].status == "failed"
    assert error is not None
    assert error.code == code
    assert said in str(error)
    assert world.hashes() == {A: sha256(b"good")}


def test_what_went_together_with_its_collection_is_no_failure(world: IngestWorld) -> None:
    keys = [key_of("x.png", "nobody"), "ns_2/ingest/logos/x.png"]
    assert world.statuses(*keys) == ["unchanged", "unchanged"]


def test_an_object_that_was_misnamed_and_taken_away_is_no_failure(world: IngestWorld) -> None:
    assert world.statuses("ns_1/ingest/x.png", "/ingest/logos/x.png") == ["unchanged"] * 2


def test_a_file_too_large_is_not_fetched(world: IngestWorld) -> None:
    world.assets.put(A, b"x" * (MOST + 1))
    seen: list[str] = []
    world.assets.before = lambda operation, key: seen.append(operation)
    world.run(A)
    assert "get" not in seen


def test_a_version_that_cannot_be_read_leaves_the_one_before(world: IngestWorld) -> None:
    world.assets.put(A, b"good")
    world.run(A)
    world.assets.put(A, b"broken")
    assert world.statuses(A) == ["failed"]
    assert world.hashes() == {A: sha256(b"good")}
    world.assets.put(A, b"mended")
    assert world.statuses(A) == ["ingested"]
    assert world.hashes() == {A: sha256(b"mended")}


@pytest.mark.parametrize("operation", ["head", "get"])
def test_storage_that_does_not_answer_defers_its_file_alone(
    world: IngestWorld, operation: str
) -> None:
    def fail(what: str, key: str) -> None:
        if (what, key) == (operation, A):
            raise UnavailableError("500")

    for key in (A, B):
        world.assets.put(key, key.encode())
    world.assets.before = fail
    assert world.statuses(A, B) == ["later", "ingested"]
    assert set(world.hashes()) == {B}
    world.assets.before = lambda what, key: None
    assert world.statuses(A) == ["ingested"]


def test_storage_that_fails_between_reading_and_writing_defers_its_file_alone(
    world: IngestWorld,
) -> None:
    heads: list[str] = []

    def fail(what: str, key: str) -> None:
        if (what, key) == ("head", A):
            heads.append(key)
            if len(heads) == 2:
                raise UnavailableError("500")

    for key in (A, B):
        world.assets.put(key, key.encode())
    world.assets.before = fail
    assert world.statuses(A, B) == ["later", "ingested"]
    assert world.statuses(A) == ["ingested"]


def test_a_throttled_table_defers_the_batch_and_loses_nothing(world: IngestWorld) -> None:
    def throttle() -> None:
        raise UnavailableError("throttled")

    world.assets.put(A, b"one")
    world.assets.put(B, b"two")
    world.index.records.before = throttle
    assert world.statuses(A, B) == ["later", "later"]
    assert world.documents() == {}
    world.index.records.before = lambda: None
    assert world.statuses(A, B) == ["ingested", "ingested"]


def test_a_write_whose_answer_was_lost_is_seen_to_be_made(world: IngestWorld) -> None:
    def lose() -> None:
        raise UnavailableError("no answer")

    world.assets.put(A, b"one")
    world.index.records.after = lose
    assert world.statuses(A) == ["later"]
    world.index.records.after = lambda: None
    assert world.statuses(A) == ["unchanged"]
    assert world.hashes() == {A: sha256(b"one")}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (MediaError("the file made the media function end"), "failed"),
        (UnavailableError("at its concurrency limit"), "later"),
        (DeadlineError("time ran out"), "later"),
        (TrawlError("no permission"), "later"),
        (RuntimeError("a defect of ours"), "later"),
    ],
)
def test_a_file_that_kills_its_reader_costs_no_other(
    world: IngestWorld, fault: Exception, status: str
) -> None:
    world.extractor.faults[b"bomb"] = fault
    for key, data in ((A, b"bomb"), (B, b"good"), (C, b"fine")):
        world.assets.put(key, data)
    assert world.statuses(A, B, C) == [status, "ingested", "ingested"]
    assert set(world.hashes()) == {B, C}


def test_a_file_that_the_collection_refuses_costs_no_other(world: IngestWorld) -> None:
    for key, data in ((A, b"odd"), (B, b"good")):
        world.assets.put(key, data)
    assert world.statuses(A, B) == ["failed", "ingested"]
    assert set(world.hashes()) == {B}


def test_what_time_does_not_reach_is_deferred_and_what_was_read_is_written(
    world: IngestWorld,
) -> None:
    world.assets.put(A, b"one")
    world.assets.put(B, b"two")
    world.run(B)
    world.assets.remove(B)
    # Nothing more is read, yet what needs no reading is still done.
    soon = Deadline.after(WRITE_RESERVE_S / 2)
    assert world.statuses(A, B, deadline=soon) == ["later", "removed"]
    assert world.statuses(A, deadline=Deadline.after(0)) == ["later"]
    assert world.documents() == {}
    assert world.statuses(A) == ["ingested"]


def test_time_that_runs_out_in_the_middle_defers_the_rest(world: IngestWorld) -> None:
    world.extractor.faults[b"slow"] = DeadlineError("time ran out while the file was read")
    for key, data in ((A, b"slow"), (B, b"good")):
        world.assets.put(key, data)
    assert world.statuses(A, B) == ["later", "ingested"]


def test_no_keys_are_no_work(world: IngestWorld) -> None:
    assert world.run() == {}


@pytest.mark.parametrize("end", [" ", "\u00a0", "\u3000", "  "])
def test_a_name_that_ends_in_a_space_is_no_other_name(world: IngestWorld, end: str) -> None:
    world.assets.put(A, b"one")
    world.assets.put(A + end, b"two")
    assert world.statuses(A, A + end) == ["ingested", "ingested"]
    assert world.hashes() == {A: sha256(b"one"), A + end: sha256(b"two")}


@pytest.mark.parametrize("path", ["a?b#c.png", "100%25.png", "a+b.png", "ü/日本.png", "x" * 900])
def test_a_name_is_taken_as_it_is(world: IngestWorld, path: str) -> None:
    world.assets.put(key_of(path), b"one")
    assert world.statuses(key_of(path)) == ["ingested"]
    assert world.hashes() == {key_of(path): sha256(b"one")}


def test_a_collection_that_goes_meanwhile_is_looked_for_again(world: IngestWorld) -> None:
    """Between finding it and writing to it: the next look says what each file is then."""
    world.assets.put(A, b"one")
    world.assets.put(B, b"two")
    world.run(B)
    world.assets.remove(B)
    world.index.store.drop("ns_1", "col_1")
    assert world.statuses(A, B) == ["later", "later"]


def test_chunks_behind_one_that_was_deleted_by_its_id_go_with_their_file(
    world: IngestWorld,
) -> None:
    world.assets.put(A, b"long*20")
    world.run(A)
    gone = [f"{document_id_of(A)}#{n}" for n in (0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)]
    world.index.store.delete("ns_1", "col_1", gone)
    world.assets.remove(A)
    assert world.statuses(A) == ["removed"]
    assert world.documents() == {}

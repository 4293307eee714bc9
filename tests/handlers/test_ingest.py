"""The ingest function: which messages come again, which are given up on, and that none is lost."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest

from core.errors import BadRequestError, UnavailableError
from core.settings import Settings, SettingsError
from handlers import ingest
from handlers.s3_events import read_keys
from tests.core.ingest.queues import Queues
from tests.core.ingest.worlds import BUCKET, IngestWorld, key_of, sha256

EVENT = json.loads((Path(__file__).parent.parent / "events" / "sqs_s3_put.json").read_text())
EVENT_KEY = "ns_1/ingest/logos/folder/b c+ü.png"


@dataclass
class Function:
    """The function over a world in memory, called as Lambda calls it."""

    world: IngestWorld
    queues: Queues
    remaining_ms: int = 120_000

    def call(self, *bodies: str, attempt: int = 1) -> list[str]:
        """Hand the function a batch; return the ids of the messages that come again."""
        records = [
            {
                "messageId": f"m{n}",
                "receiptHandle": f"r{n}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": str(attempt),
                    "SentTimestamp": "1795344344123",
                },
            }
            for n, body in enumerate(bodies)
        ]
        return self.handle({"Records": records})

    def handle(self, event: dict[str, Any]) -> list[str]:
        """Hand the function an event."""
        context = SimpleNamespace(
            aws_request_id="r", get_remaining_time_in_millis=lambda: self.remaining_ms
        )
        answer = ingest.handler(event, context)
        return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Function:
    made = Function(IngestWorld(), Queues())
    app = SimpleNamespace(
        ingest=made.world.ingest, ingest_queues=made.queues.both, settings=Settings()
    )
    monkeypatch.setattr(ingest, "deployed_app", lambda: app)
    return made


def body_of(*keys: str, bucket: str = BUCKET) -> str:
    """Return a message that tells of these objects."""
    objects = [
        {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, "/")}} for key in keys
    ]
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3} for s3 in objects]})


A, B = key_of("a.png"), key_of("b c+ü%.png")


def test_a_real_event_takes_its_object_in(function: Function) -> None:
    function.world.assets.put(EVENT_KEY, b"picture")
    assert function.handle(EVENT) == []
    assert function.world.hashes() == {EVENT_KEY: sha256(b"picture")}
    assert function.queues.dead.messages == []


def test_every_message_is_answered_for_itself(function: Function) -> None:
    assets = function.world.assets
    assets.put(A, b"good")
    assets.put(key_of("torn.png"), b"broken")
    assets.put(key_of("busy.png"), b"busy")
    function.world.extractor.faults[b"busy"] = UnavailableError("throttled")
    bodies = [
        "not JSON",
        body_of(A),
        body_of(key_of("torn.png")),
        body_of(key_of("busy.png")),
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}),
        body_of("elsewhere/a.png"),
        body_of(A),
    ]
    assert function.call(*bodies) == ["m3"]
    given_up = {one.body: one.attributes for one in function.queues.dead.messages}
    assert set(given_up) == {bodies[0], bodies[2]}
    assert given_up[bodies[0]]["code"] == "bad_request"
    torn = given_up[bodies[2]]
    assert (torn["code"], torn["reason"]) == ("media_unreadable", "it is broken")
    assert torn["first_seen"] == "2026-11-22T10:45:44.123Z"
    assert set(function.world.hashes()) == {A}
    assert function.queues.work.released == [("r3", 10)]


@pytest.mark.parametrize(("attempt", "pause"), [(1, 10), (2, 40), (3, 160), (4, 640), (9, 900)])
def test_what_does_not_work_now_comes_again_later_and_later(
    function: Function, attempt: int, pause: int
) -> None:
    function.world.assets.put(A, b"busy")
    function.world.extractor.faults[b"busy"] = UnavailableError("throttled")
    assert function.call(body_of(A), attempt=attempt) == ["m0"]
    assert function.queues.work.released == [("r0", pause)]


def test_a_message_of_several_objects_waits_for_all_of_them(function: Function) -> None:
    function.world.assets.put(A, b"busy")
    function.world.assets.put(B, b"broken")
    function.world.extractor.faults[b"busy"] = UnavailableError("throttled")
    assert function.call(body_of(B, A)) == ["m0"]
    assert function.queues.dead.messages == []
    function.world.extractor.faults.clear()
    assert function.call(body_of(B, A)) == []
    [dead] = function.queues.dead.messages
    assert dead.body == body_of(B, A)
    assert set(function.world.hashes()) == {A}


def test_what_cannot_be_given_up_on_now_stays_in_the_queue(function: Function) -> None:
    function.world.assets.put(A, b"broken")
    function.world.assets.put(B, b"good")
    function.queues.dead.refuses.add("send")
    assert function.call(body_of(A), body_of(B)) == ["m0"]
    assert set(function.world.hashes()) == {B}
    function.queues.dead.refuses.clear()
    assert function.call(body_of(A)) == []
    assert len(function.queues.dead.messages) == 1


def test_a_message_that_cannot_be_released_comes_again_all_the_same(function: Function) -> None:
    function.world.assets.put(A, b"busy")
    function.world.extractor.faults[b"busy"] = UnavailableError("throttled")
    function.queues.work.refuses.add("release")
    assert function.call(body_of(A)) == ["m0"]


@pytest.mark.parametrize("remaining_ms", [0, 1_000, 10_000])
def test_a_deadline_gives_back_what_was_not_reached(function: Function, remaining_ms: int) -> None:
    keys = [key_of(f"{n}.png") for n in range(10)]
    for key in keys:
        function.world.assets.put(key, key.encode())
    function.remaining_ms = remaining_ms
    bodies = [body_of(key) for key in keys]
    assert function.call(*bodies) == [f"m{n}" for n in range(10)]
    assert function.world.extractor.calls == []
    function.remaining_ms = 120_000
    assert function.call(*bodies) == []
    assert set(function.world.hashes()) == set(keys)


def test_a_deadline_in_the_middle_keeps_what_was_read(function: Function) -> None:
    """The third file is still being read when the time for reading is over."""
    keys = [key_of(f"{n}.png") for n in range(4)]
    for n, key in enumerate(keys):
        function.world.assets.put(key, b"%d" % n)
    function.world.extractor.faults[b"2"] = TimeoutError("the process ended")
    assert function.call(*(body_of(key) for key in keys)) == ["m2"]
    assert set(function.world.hashes()) == {*keys[:2], keys[3]}


def test_no_queues_are_a_fault_of_the_deployment(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SimpleNamespace(ingest_queues=None)
    monkeypatch.setattr(ingest, "deployed_app", lambda: app)
    with pytest.raises(SettingsError, match="TRAWL_INGEST_QUEUE"):
        function.call(body_of(A))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        '"text"',
        '{"Records": {}}',
        '{"Records": [1]}',
        '{"Records": [{"s3": {}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "assets-bucket"}, "object": {"key": 7}}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "assets-bucket"}, "object": {"key": "%ff"}}}]}',
        body_of(A).replace(A, "ns_1/ingest/logos/\\ud800"),
        body_of(A, bucket="another-bucket"),
        "\ud800",
        "[" * 100_000,
    ],
)
def test_a_poisoned_message_is_given_up_on_with_its_reason(function: Function, body: str) -> None:
    function.world.assets.put(A, b"good")
    assert function.call(body, body_of(A)) == []
    [dead] = function.queues.dead.messages
    assert (dead.body, dead.attributes["code"]) == (body, "bad_request")
    assert set(function.world.hashes()) == {A}


def test_keys_are_read_as_s3_writes_them() -> None:
    assert read_keys(body_of(A, B)) == (A, B)
    assert read_keys('{"Records": []}') == ()
    with pytest.raises(BadRequestError, match="another"):
        read_keys(body_of(A, bucket="another"), BUCKET)

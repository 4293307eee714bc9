"""`trawl ingest`: what was given up on is shown, sent back or forgotten, never lost on the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.errors import UnavailableError
from handlers.cli import main
from handlers.commands.connection import Connection
from handlers.dead_letters import list_failures, redrive
from tests.core.ingest.queues import Queues
from tests.core.ingest.worlds import key_of
from tests.handlers.test_ingest import body_of

A, B = key_of("a.png"), key_of("b.png", "photos")


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Queues:
    """Two failures: one with a reason, and one that the queue itself gave up on."""
    made = Queues()

    @contextmanager
    def open_app(self: Connection) -> Iterator[Any]:
        yield SimpleNamespace(ingest_queues=made.both)

    monkeypatch.setattr(Connection, "open_app", open_app)
    facts = {"reason": "torn", "code": "media_unreadable", "first_seen": "2026-11-22T10:00:00.000Z"}
    made.dead.send(body_of(A), facts)
    made.dead.send(body_of(B))
    return made


def run(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["ingest", *words])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def test_the_status_counts_all_that_there_is(queues: Queues) -> None:
    queues.work.send(body_of(A))
    queues.work.send(body_of(B))
    queues.work.receive(hold_s=60)
    queues.work.send(body_of(A))
    queues.dead.receive(hold_s=60)
    told = json.loads(run("status", "--json").stdout)
    assert told == {"waiting": 1, "in_work": 2, "failed": 2}
    assert "failures" in run("status").stderr


def test_failures_are_shown_with_their_reasons_and_stay(queues: Queues) -> None:
    for _ in range(2):
        told = {one["keys"][0]: one for one in json.loads(run("failures", "--json").stdout)}
        assert told[A]["reason"] == "torn"
        assert told[A]["code"] == "media_unreadable"
        assert told[B]["code"] == "attempts_used_up"
        assert told[B]["first_seen"].startswith("1970")
    text = run("failures").stdout
    assert A in text
    assert "torn" in text
    assert queues.dead.depth().waiting == 2


def test_a_message_that_cannot_be_read_is_shown_as_such(queues: Queues) -> None:
    queues.dead.send(
        "not JSON\x1b[2J", {"reason": "the message is not JSON", "code": "bad_request"}
    )
    text = run("failures").stdout
    assert "(unreadable)" in text
    assert "\x1b" not in text


def test_a_redrive_sends_back_all_or_those_of_a_prefix(queues: Queues) -> None:
    told = json.loads(run("redrive", "--key-prefix", "ns_1/ingest/photos/", "--json").stdout)
    assert told == {"moved": 1, "left": 1}
    assert [message.body for message in queues.work.messages] == [body_of(B)]
    assert [message.body for message in queues.dead.messages] == [body_of(A)]
    # What stays can be had at once.
    assert queues.dead.depth().waiting == 1
    assert "1 sent back, 0 left" in run("redrive").stdout
    assert [message.attributes for message in queues.work.messages] == [{}, {}]


def test_forgetting_asks_which(queues: Queues) -> None:
    run("discard", status=2)
    run("discard", "--all", "--key-prefix", "ns_1/", status=2)
    assert len(queues.dead.messages) == 2
    assert json.loads(run("discard", "--key-prefix", A, "--json").stdout) == {"moved": 1, "left": 1}
    run("discard", "--all")
    assert queues.dead.messages == []
    assert queues.work.messages == []


def test_nothing_to_show_is_said(queues: Queues) -> None:
    run("discard", "--all")
    assert "nothing" in run("failures").stderr


def test_more_messages_than_one_call_gives_are_all_seen(queues: Queues) -> None:
    for n in range(35):
        queues.dead.send(body_of(key_of(f"{n}.png")))
    assert len(json.loads(run("failures", "--json").stdout)) == 37
    assert len(json.loads(run("failures", "--json", "--limit", "12").stdout)) == 12
    assert queues.dead.depth().waiting == 37
    assert "37 sent back" in run("redrive").stdout


def test_a_redrive_that_fails_in_the_middle_loses_no_message(queues: Queues) -> None:
    for n in range(5):
        queues.dead.send(body_of(key_of(f"{n}.png")))
    sent: list[str] = []
    send = queues.work.send

    def fail_at_third(body: str, attributes: Any = None) -> None:
        if len(sent) == 2:
            raise UnavailableError("no answer")
        sent.append(body)
        send(body, attributes)

    queues.work.send = fail_at_third  # type: ignore[method-assign]  # a double that fails midway
    with pytest.raises(UnavailableError):
        redrive(queues.dead, queues.work, key_prefix="ns_1/ingest/logos/")
    every = {message.body for message in [*queues.work.messages, *queues.dead.messages]}
    assert len(every) == 7
    queues.work.send = send  # type: ignore[method-assign]  # as it was
    assert redrive(queues.dead, queues.work).moved == 5


def test_a_redrive_ends_though_all_of_it_fails_again_at_once(queues: Queues) -> None:
    send = queues.work.send

    def fail_at_once(body: str, attributes: Any = None) -> None:
        send(body, attributes)
        queues.dead.send(body, {"code": "media_unreadable"})

    queues.work.send = fail_at_once  # type: ignore[method-assign]  # as a function that is fast
    done = redrive(queues.dead, queues.work)
    assert (done.moved, done.left, done.again) == (2, 2, 2)
    assert len(queues.work.messages) == 2
    assert queues.dead.depth().waiting == 2
    assert "2 failed again" in run("redrive").stderr


def test_looking_gives_back_even_if_it_is_cut_short(queues: Queues) -> None:
    queues.dead.refuses.add("release")
    assert len(list_failures(queues.dead, most=10)) == 2
    assert queues.dead.depth().waiting == 0
    queues.dead.now += 121
    assert queues.dead.depth().waiting == 2


def test_a_data_folder_has_no_queue_and_says_so(tmp_path: Any) -> None:
    result = run("status", "--data", str(tmp_path), status=1)
    assert "TRAWL_INGEST_QUEUE" in result.stderr
    run("status", "--api", "http://127.0.0.1:1", "--key", "sk_x", status=2)

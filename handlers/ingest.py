"""Ingest on Lambda: a batch of messages in, and back those that are to come again.

A message is done with once every object it names is; one that will never succeed goes to the
dead-letter queue at once, with its reason, where it is seen. Nothing else ends a message, so a
function that is killed loses none: the queue gives all of them again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from core.clock import to_iso
from core.deadline import Deadline
from core.errors import BadRequestError, TrawlError
from core.ingest.outcomes import Outcome, outcome_of
from core.ports.queues import IngestQueues
from core.settings import SettingsError, variable_of
from handlers.deployed import deployed_app
from handlers.observation import logger, metrics
from handlers.s3_events import read_keys

if TYPE_CHECKING:
    from core.app import App

Event = dict[str, Any]

# Until a message that did not work comes again: 10 s, then four times as long each time.
_FIRST_PAUSE_S: Final = 10
_LONGEST_PAUSE_S: Final = 900
_REASON_CHARACTERS: Final = 1_000
_METRICS: Final = {
    "ingested": "FilesIngested",
    "removed": "FilesRemoved",
    "unchanged": "FilesUnchanged",
    "ignored": "ObjectsIgnored",
    "failed": "FilesFailed",
    "later": "FilesDeferred",
}


@dataclass(frozen=True, slots=True)
class Received:
    """One message of the batch. `attempt` counts from 1."""

    message_id: str
    body: str
    receipt: str
    attempt: int
    sent_at: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Received":
        """Read what Lambda hands over."""
        facts = record.get("attributes", {})
        sent = int(facts.get("SentTimestamp", 0)) / 1000
        return cls(
            message_id=record["messageId"],
            body=record["body"],
            receipt=record["receiptHandle"],
            attempt=int(facts.get("ApproximateReceiveCount", 1)),
            sent_at=to_iso(datetime.fromtimestamp(sent, UTC)),
        )


@metrics.log_metrics
def handler(event: Event, context: Any) -> Event:
    """Take in the objects that the messages name; answer with the messages to give again."""
    metrics.add_metric("Messages", MetricUnit.Count, len(event["Records"]))
    app = deployed_app()
    if app.ingest_queues is None:
        wanted = f"{variable_of('ingest_queue')}, {variable_of('ingest_dead_letters')}"
        raise SettingsError(f"the ingest function needs {wanted}")
    logger.append_keys(request_id=str(getattr(context, "aws_request_id", "")))
    reserve_s = app.settings.deadline_reserve_ms / 1000
    remaining_s = context.get_remaining_time_in_millis() / 1000
    deadline = Deadline.after(max(0.0, remaining_s - reserve_s))
    messages = [Received.of(record) for record in event["Records"]]
    failed = take_in(app, app.ingest_queues, messages, deadline)
    return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in failed]}


def take_in(
    app: "App", queues: IngestQueues, messages: Sequence[Received], deadline: Deadline
) -> list[Received]:
    """Deal with the messages; return those that are to come again."""
    named: dict[str, tuple[str, ...]] = {}
    verdicts: dict[str, Outcome] = {}
    for message in messages:
        try:
            named[message.message_id] = read_keys(message.body, app.ingest.bucket)
        except BadRequestError as error:
            verdicts[message.message_id] = outcome_of(error)
    keys = [key for one in named.values() for key in one]
    outcomes = app.ingest.run(keys, deadline=deadline)
    for message_id, its in named.items():
        verdicts[message_id] = _worst([outcomes[key] for key in its])
    _observe(len(messages), outcomes)
    return [m for m in messages if not _is_done(m, verdicts[m.message_id], queues)]


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what a message of several objects comes to: any of them may hold it back."""
    for status in ("later", "failed"):
        for outcome in outcomes:
            if outcome.status == status:
                return outcome
    return Outcome("unchanged")


def _is_done(message: Received, verdict: Outcome, queues: IngestQueues) -> bool:
    """End a message or arrange for its return; say if it has ended."""
    try:
        if verdict.status == "later":
            _postpone(message, verdict, queues)
            return False
        if verdict.status == "failed":
            _give_up(message, verdict, queues)
    except TrawlError as error:
        # It stays in the queue, and comes again when the queue's own time is over.
        logger.warning("queue did not answer", extra={"error": str(error)})
        return False
    return True


def _postpone(message: Received, verdict: Outcome, queues: IngestQueues) -> None:
    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 4 ** (min(message.attempt, 9) - 1))
    why = str(verdict.error)
    logger.warning(
        "message deferred",
        extra={"message_id": message.message_id, "attempt": message.attempt, "error": why},
    )
    # Left alone it would stay hidden for as long as several runs of this function may take.
    queues.work.release(message.receipt, after_s=pause)


def _give_up(message: Received, verdict: Outcome, queues: IngestQueues) -> None:
    error = verdict.error or TrawlError("no reason was given")
    logger.warning(
        "message given up",
        extra={"message_id": message.message_id, "code": error.code, "error": str(error)},
    )
    reason = str(error)[:_REASON_CHARACTERS]
    attributes = {"code": error.code, "reason": reason, "first_seen": message.sent_at}
    queues.dead_letters.send(message.body, attributes)
    metrics.add_metric("MessagesGivenUp", MetricUnit.Count, 1)


def _observe(messages: int, outcomes: Mapping[str, Outcome]) -> None:
    """Say how many, and what may be missed; never a file's content."""
    counts = Counter(outcome.status for outcome in outcomes.values())
    for status, count in counts.items():
        metrics.add_metric(_METRICS[status], MetricUnit.Count, count)
    for key, outcome in outcomes.items():
        if outcome.warnings:
            logger.warning("file is less searchable", extra={"key": key, "why": outcome.warnings})
    facts = {str(status): count for status, count in counts.items()}
    logger.info("batch taken in", extra={"messages": messages, **facts})

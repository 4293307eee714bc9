"""The queues port on Amazon SQS (standard queues)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from core.adapters.aws_clients import LazyClient, make_client, map_error
from core.ports.queues import MAX_RECEIVED, Depth, Message

# A short poll asks only some of a queue's servers, and may find nothing where there is something.
_WAIT_S: Final = 1
# What SQS takes for a text; XML 1.0's characters.
_NOT_SENT: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class SpeaksSqs(Protocol):
    """The calls of boto3's SQS client that are made."""

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> Any:
        """Return `{Attributes}`."""
        ...

    def send_message(
        self, *, QueueUrl: str, MessageBody: str, MessageAttributes: dict[str, Any]
    ) -> Any:
        """Return `{MessageId}`."""
        ...

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        VisibilityTimeout: int,
        WaitTimeSeconds: int,
        MessageSystemAttributeNames: list[str],
        MessageAttributeNames: list[str],
    ) -> Any:
        """Return `{Messages?}`."""
        ...

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> Any:
        """Return nothing of use."""
        ...

    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> Any:
        """Return nothing of use."""
        ...


class SqsQueue:
    """A `Queue` on SQS. The client is made when first used unless one is given."""

    def __init__(self, url: str, *, client: SpeaksSqs | None = None) -> None:
        self._url = url
        self._client: LazyClient[SpeaksSqs] = LazyClient(
            lambda: make_client("sqs") if client is None else client
        )

    def depth(self) -> Depth:
        """Return how many messages there are, as SQS estimates it."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        with self._mapped_errors():
            answer = self._client().get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        waiting, held, delayed = (int(answer["Attributes"].get(name, 0)) for name in names)
        return Depth(waiting, held + delayed)

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Add a message; characters that no attribute may hold are replaced, empty ones go."""
        named = {
            name: {"DataType": "String", "StringValue": _NOT_SENT.sub("\ufffd", value)}
            for name, value in (attributes or {}).items()
            if value
        }
        with self._mapped_errors():
            self._client().send_message(
                QueueUrl=self._url, MessageBody=body, MessageAttributes=named
            )

    def receive(self, *, hold_s: int) -> Sequence[Message]:
        """Return up to ten messages and hold them."""
        with self._mapped_errors():
            answer = self._client().receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MAX_RECEIVED,
                VisibilityTimeout=hold_s,
                WaitTimeSeconds=_WAIT_S,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return [_message(one) for one in answer.get("Messages", ())]

    def delete(self, receipt: str) -> None:
        """Remove a message."""
        with self._mapped_errors():
            self._client().delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def release(self, receipt: str, *, after_s: int = 0) -> None:
        """Give a message back, to come again later."""
        with self._mapped_errors():
            self._client().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=after_s
            )

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise map_error(error, f"the queue {self._url.rpartition('/')[2]}") from error


def _message(one: Mapping[str, Any]) -> Message:
    system = one.get("Attributes", {})
    named = one.get("MessageAttributes", {})
    return Message(
        message_id=one["MessageId"],
        body=one["Body"],
        receipt=one["ReceiptHandle"],
        attributes={name: str(value.get("StringValue", "")) for name, value in named.items()},
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        receives=int(system.get("ApproximateReceiveCount", 1)),
    )

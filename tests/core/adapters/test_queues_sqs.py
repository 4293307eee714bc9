"""The queues port on SQS, as moto has it; and the failures that it has not."""

from collections.abc import Callable, Iterator

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from core.adapters.queues_sqs import SqsQueue
from core.errors import TrawlError, UnavailableError
from core.ports.queues import Depth
from tests.core.adapters.failing import FailingClient, client_error


@pytest.fixture
def queue() -> Iterator[SqsQueue]:
    with mock_aws():
        client = boto3.client("sqs", region_name="us-east-1")
        url = client.create_queue(QueueName="queue")["QueueUrl"]
        yield SqsQueue(url, client=client)


def test_a_message_comes_again_until_it_is_deleted(queue: SqsQueue) -> None:
    queue.send("body", {"reason": "torn", "code": "media_unreadable"})
    assert queue.depth() == Depth(1, 0)
    [first] = queue.receive(hold_s=60)
    assert (first.body, first.receives) == ("body", 1)
    assert first.attributes == {"reason": "torn", "code": "media_unreadable"}
    assert first.sent_at > 1_700_000_000
    assert queue.depth() == Depth(0, 1)
    assert queue.receive(hold_s=60) == []
    queue.release(first.receipt)
    [again] = queue.receive(hold_s=60)
    assert (again.message_id, again.receives) == (first.message_id, 2)
    queue.delete(again.receipt)
    assert queue.depth() == Depth(0, 0)


def test_at_most_ten_come_at_once_and_none_is_left_out(queue: SqsQueue) -> None:
    for n in range(12):
        queue.send(str(n))
    received = [*queue.receive(hold_s=60), *queue.receive(hold_s=60)]
    assert sorted(int(one.body) for one in received) == list(range(12))


def test_reasons_of_any_text_can_be_sent(queue: SqsQueue) -> None:
    queue.send("body", {"reason": "nul \0, half \ud800, ü €\n", "empty": ""})
    [message] = queue.receive(hold_s=60)
    assert message.attributes == {"reason": "nul \ufffd, half \ufffd, ü €\n"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("ThrottlingException"), UnavailableError),
        (client_error("InternalError", 500), UnavailableError),
        (EndpointConnectionError(endpoint_url="https://sqs"), UnavailableError),
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), TrawlError),
    ],
)
def test_every_call_says_whether_another_try_may_succeed(
    error: Exception, kind: type[TrawlError]
) -> None:
    queue = SqsQueue("https://sqs.example/1/queue", client=FailingClient(error))
    calls: list[Callable[[], object]] = [
        queue.depth,
        lambda: queue.send("b"),
        lambda: queue.receive(hold_s=1),
        lambda: queue.delete("r"),
        lambda: queue.release("r"),
    ]
    for call in calls:
        with pytest.raises(kind, match="the queue queue") as raised:
            call()
        assert type(raised.value) is kind

"""The records port on DynamoDB: the contract under moto, and what AWS's failures become."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from core.adapters.records_dynamodb import DynamoRecords
from core.errors import ConflictError, TrawlError, UnavailableError
from core.ports.records import Put, Records
from tests.contracts.records import RecordsContract, SetClock
from tests.core.adapters.failing import FailingClient, client_error
from tests.core.adapters.moto_clients import OneCallAtATime

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def _make_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName="table",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture(scope="module")
def client() -> Iterator["DynamoDBClient"]:
    with mock_aws():
        yield boto3.client("dynamodb", region_name="us-east-1")


class TestDynamoRecords(RecordsContract):
    @pytest.fixture
    def records(self, client: "DynamoDBClient", clock: SetClock) -> Iterator[DynamoRecords]:
        _make_table(client)
        serial: Any = OneCallAtATime(client)
        yield DynamoRecords("table", client=serial, clock=clock)
        client.delete_table(TableName="table")

    def test_the_table_can_expire_items_by_itself(
        self, records: Records, client: "DynamoDBClient", clock: SetClock
    ) -> None:
        records.put(Put("p", "k", {}, ttl_s=1.5))
        item = client.scan(TableName="table")["Items"][0]
        # Time to live takes whole seconds only.
        assert item["expires_at"] == {"N": str(int(clock.now) + 2)}


def _cancelled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    return client_error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("ProvisionedThroughputExceededException"), UnavailableError),
        (client_error("ThrottlingException"), UnavailableError),
        (client_error("InternalServerError", 500), UnavailableError),
        (client_error("Unheard", 503), UnavailableError),
        (EndpointConnectionError(endpoint_url="https://dynamodb"), UnavailableError),
        (client_error("TransactionConflictException"), ConflictError),
        (_cancelled("None", "ConditionalCheckFailed"), ConflictError),
        (_cancelled("TransactionConflict", "None"), ConflictError),
        (_cancelled("ThrottlingError", "None"), UnavailableError),
        (client_error("400"), UnavailableError),  # its body was torn
        (client_error("AccessDeniedException"), TrawlError),
        (client_error("ResourceNotFoundException"), TrawlError),
    ],
)
def test_failures_become_our_errors(error: Exception, expected: type[TrawlError]) -> None:
    client: Any = FailingClient(error)
    records = DynamoRecords("table", client=client)
    with pytest.raises(TrawlError) as caught:
        records.transact([Put("p", "k", {})])
    assert type(caught.value) is expected
    with pytest.raises(TrawlError) as caught:
        records.get("p", "k")
    assert type(caught.value) is expected


def test_no_client_is_made_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("made too early")

    monkeypatch.setattr(boto3, "client", refuse)
    DynamoRecords("table")

"""The records port on one DynamoDB table.

Attributes: `pk` and `sk` (strings), `version` (number), `value` (JSON text, so that numbers keep
their type), and `expires_at` (Unix seconds), which the table's time to live should name.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from core.adapters.aws_clients import LazyClient, error_code, make_client, map_error
from core.adapters.records_checks import check_keys, check_limit, check_transaction, encode_value
from core.errors import ConflictError, UnavailableError
from core.ports.records import ABSENT, Delete, Put, Record, RecordPage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# DynamoDB removes expired items hours later: until then every condition must look for itself.
_EXPIRED = "(attribute_exists(expires_at) AND expires_at <= :now)"
_LOST = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})
_LOST_IN_TRANSACTION = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_THROTTLED_IN_TRANSACTION = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
_ALIVE = "(attribute_not_exists(expires_at) OR expires_at > :now)"


class DynamoRecords:
    """`Records` in `table`. The client is made when first used unless one is given.

    Lifetimes are rounded up to whole seconds, as the table's are. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        table: str,
        *,
        client: "DynamoDBClient | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._clock = clock
        self._client: LazyClient[DynamoDBClient] = LazyClient(
            lambda: make_client("dynamodb") if client is None else client
        )

    def get(self, partition: str, key: str) -> Record | None:
        """Return the record, or None."""
        check_keys(partition, key)
        with _mapped_errors():
            answer = self._client().get_item(
                TableName=self._table, Key=_item_key(partition, key), ConsistentRead=True
            )
        item = answer.get("Item")
        return None if item is None or self._is_expired(item) else _to_record(item)

    def put(self, put: Put) -> Record:
        """Write one record and return it with its new version."""
        update = self._update(put)
        with _mapped_errors():
            answer = self._client().update_item(**update, ReturnValues="ALL_NEW")
        return _to_record(answer["Attributes"])

    def delete(self, delete: Delete) -> None:
        """Remove one record."""
        with _mapped_errors():
            self._client().delete_item(**self._delete(delete))

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        """Apply all of at most 100 writes, to different keys, or none of them."""
        check_transaction(writes)
        if not writes:
            return
        items: list[Any] = [
            {"Update": self._update(write)}
            if isinstance(write, Put)
            else {"Delete": self._delete(write)}
            for write in writes
        ]
        with _mapped_errors():
            self._client().transact_write_items(TransactItems=items)

    def list(
        self, partition: str, *, prefix: str = "", limit: int = 100, after: str | None = None
    ) -> RecordPage:
        """Return up to `limit` records whose key starts with `prefix`, in byte order of keys."""
        check_keys(partition, prefix or "-")
        check_limit(limit)
        records: list[Record] = []
        # One more than asked tells whether there is a next page.
        for item in self._query(partition, prefix, after, limit + 1):
            records.append(_to_record(item))
            if len(records) > limit:
                break
        more = len(records) > limit
        return RecordPage(tuple(records[:limit]), records[limit - 1].key if more else None)

    def purge(self) -> int:
        """Do nothing: the table's own time to live removes what has expired."""
        return 0

    def _query(
        self, partition: str, prefix: str, after: str | None, page: int
    ) -> Iterator[dict[str, Any]]:
        values: dict[str, Any] = {":pk": {"S": partition}}
        condition = "pk = :pk"
        if prefix:
            values[":prefix"] = {"S": prefix}
            condition += " AND begins_with(sk, :prefix)"
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
            "Limit": page,
        }
        # A start key outside the prefix is refused by DynamoDB, and one before it means its begin.
        if after is not None and after >= prefix:
            if not after.startswith(prefix):
                return
            query["ExclusiveStartKey"] = _item_key(partition, after)
        while True:
            with _mapped_errors():
                answer = self._client().query(**query)
            yield from (item for item in answer["Items"] if not self._is_expired(item))
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _update(self, put: Put) -> dict[str, Any]:
        check_keys(put.partition, put.key)
        values: dict[str, Any] = {
            ":value": {"S": encode_value(put.value)},
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
        }
        change = "SET #value = :value, #version = if_not_exists(#version, :zero) + :one"
        if put.ttl_s is None:
            change += " REMOVE expires_at"
        else:
            change += ", expires_at = :expires_at"
            values[":expires_at"] = {"N": str(math.ceil(self._clock() + put.ttl_s))}
        condition = self._condition(put, values)
        return {
            "TableName": self._table,
            "Key": _item_key(put.partition, put.key),
            "UpdateExpression": change,
            "ExpressionAttributeNames": {"#value": "value", "#version": "version"},
            "ExpressionAttributeValues": values,
            **condition,
        }

    def _delete(self, delete: Delete) -> dict[str, Any]:
        check_keys(delete.partition, delete.key)
        values: dict[str, Any] = {}
        condition = self._condition(delete, values)
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": _item_key(delete.partition, delete.key),
            **condition,
        }
        if values:
            request["ExpressionAttributeValues"] = values
        if ":expected" in values:
            request["ExpressionAttributeNames"] = {"#version": "version"}
        return request

    def _condition(self, write: Put | Delete, values: dict[str, Any]) -> dict[str, str]:
        if write.expected is None:
            return {}
        values[":now"] = {"N": repr(self._clock())}
        if write.expected == ABSENT:
            return {"ConditionExpression": f"attribute_not_exists(pk) OR {_EXPIRED}"}
        values[":expected"] = {"N": str(write.expected)}
        return {"ConditionExpression": f"#version = :expected AND {_ALIVE}"}

    def _is_expired(self, item: dict[str, Any]) -> bool:
        return "expires_at" in item and float(item["expires_at"]["N"]) <= self._clock()


def _item_key(partition: str, key: str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": key}}


def _to_record(item: dict[str, Any]) -> Record:
    return Record(
        partition=item["pk"]["S"],
        key=item["sk"]["S"],
        value=orjson.loads(item["value"]["S"]),
        version=int(item["version"]["N"]),
    )


@contextmanager
def _mapped_errors() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        reasons = _cancel_reasons(error)
        if error_code(error) in _LOST or reasons & _LOST_IN_TRANSACTION:
            raise ConflictError("a record is not at the expected version") from error
        if reasons & _THROTTLED_IN_TRANSACTION:
            raise UnavailableError(
                "the records table is throttled", retry_after_seconds=1.0
            ) from error
        if error_code(error) == "400":
            # botocore's word for a refusal whose body it cannot read. Nothing was written.
            raise UnavailableError("the records table gave an answer that was torn") from error
        raise map_error(error, "the records table") from error
    except BotoCoreError as error:
        raise map_error(error, "the records table") from error


def _cancel_reasons(error: Exception) -> set[str]:
    response: dict[str, Any] = getattr(error, "response", {})
    return {str(reason.get("Code")) for reason in response.get("CancellationReasons", [])}

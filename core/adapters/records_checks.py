"""What every records adapter refuses alike, before a backend can have its own opinion."""

from collections.abc import Sequence
from typing import Final

from core.errors import InvalidRequestError
from core.json_bytes import dump_json
from core.ports.records import MAX_RECORD_BYTES, Delete, Put
from core.types import JsonObject

MAX_TRANSACTION: Final = 100
# DynamoDB's limits of its two key attributes.
_MAX_PARTITION_BYTES: Final = 2048
_MAX_KEY_BYTES: Final = 1024


def check_keys(partition: str, key: str) -> None:
    """Raise `InvalidRequestError` for keys that are empty, too long, or no valid Unicode."""
    for name, value, limit in (
        ("partition", partition, _MAX_PARTITION_BYTES),
        ("key", key, _MAX_KEY_BYTES),
    ):
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise InvalidRequestError(f"record {name} is not valid Unicode: {value!r}") from error
        if not 1 <= size <= limit or "\0" in value:
            raise InvalidRequestError(
                f"record {name} must have 1 to {limit} bytes and no NUL, got {size}"
            )


def encode_value(value: JsonObject) -> str:
    """Return the JSON text to store; `InvalidRequestError` if it is none or too large."""
    data = dump_json(value, what="record")
    if len(data) > MAX_RECORD_BYTES:
        raise InvalidRequestError(
            f"record has {len(data)} bytes as JSON, at most {MAX_RECORD_BYTES} can be stored"
        )
    return data.decode()


def check_transaction(writes: Sequence[Put | Delete]) -> None:
    """Raise `InvalidRequestError` for too many writes, or two of the same key."""
    if len(writes) > MAX_TRANSACTION:
        raise InvalidRequestError(
            f"a transaction takes at most {MAX_TRANSACTION} writes, got {len(writes)}"
        )
    for write in writes:
        check_keys(write.partition, write.key)
    if len({(write.partition, write.key) for write in writes}) < len(writes):
        raise InvalidRequestError("a transaction may write each key only once")


def check_limit(limit: int) -> None:
    """Raise `InvalidRequestError` for a page of less than one record."""
    if limit < 1:
        raise InvalidRequestError(f"limit must be at least 1, got {limit}")

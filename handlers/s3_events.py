"""Messages of the ingest queue: which objects an S3 event notification tells to look at."""

import json
from typing import Any
from urllib.parse import unquote_plus

from core.errors import BadRequestError

_TEST_EVENT = "s3:TestEvent"


def read_keys(body: str, bucket: str | None = None) -> tuple[str, ...]:
    """Return the keys that a message names, none for the test message that S3 begins with.

    Raises `BadRequestError` for what is no notification, or of another bucket than `bucket`.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the message is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise BadRequestError("the message is no S3 event notification: not an object")
    if event.get("Event") == _TEST_EVENT:
        return ()
    records = event.get("Records")
    if not isinstance(records, list):
        raise BadRequestError("the message is no S3 event notification: it has no Records")
    return tuple(_read_key(record, bucket) for record in records)


def _read_key(record: Any, bucket: str | None) -> str:
    try:
        named, raw = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        # As in the query of an address: `+` is a space, and the rest is percent-encoded UTF-8.
        key = unquote_plus(raw, errors="strict")
        key.encode()  # JSON can say half a character
    except (LookupError, TypeError, AttributeError, UnicodeError) as error:
        raise BadRequestError(f"a record names no object that can be read: {error!r}") from error
    if bucket is not None and named != bucket:
        raise BadRequestError(f"the event is of bucket {str(named)[:100]!r}, not of ours")
    return key

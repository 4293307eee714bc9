"""What `trawl jobs` sends: files or a manifest as one body, and the key under which it goes on."""

import codecs
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ClientError
from handlers.scanning import Reference

MAX_ITEMS: Final = 10_000
# What a deployment takes, less its envelope; and what this process does.
SERVER_BYTES: Final = 5_000_000
LOCAL_BYTES: Final = 64_000_000
_SHOWN_FAULTS: Final = 5
# A job that could do more if it were asked again.
_UNFINISHED: Final = frozenset({"queued", "running", "failed", "stopped", "interrupted"})


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return retrievers and files: the first word is a retriever, and so are those after it up to
    the first that is an address or a path. A folder's bare name is a retriever's all the same."""
    for position, word in enumerate(words):
        if position and _is_file(word):
            return list(words[:position]), list(words[position:])
    return list(words), []


def _is_file(word: str) -> bool:
    return not Reference(word).is_local or "/" in word or Path(word).is_file()


def file_items(files: Sequence[str]) -> tuple[list[JsonObject], list[str]]:
    """Return an item for each file, its name as id, and what keeps the others from being sent."""
    items: list[JsonObject] = []
    faults: list[str] = []
    for name in files:
        try:
            reference = Reference(name)
            items.append({"id": reference.text[:500], "file": reference.read()})
        except (OSError, ValueError) as error:
            faults.append(f"{name}: {getattr(error, 'strerror', None) or error}")
    return items, faults


def manifest_items(path: Path) -> list[JsonObject]:
    """Return the items of a local manifest; `ClientError` names the lines that are no JSON."""
    items: list[JsonObject] = []
    faults: list[str] = []
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            items.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise ClientError(_listed(f"{path} is no manifest", faults))
    return items


def check_size(body: JsonObject, most_bytes: int) -> None:
    """Raise `ClientError` for a body that is too large, with what to do instead."""
    items = body.get("items") or ()
    size = len(orjson.dumps(body))
    if len(items) <= MAX_ITEMS and size <= most_bytes:
        return
    raise ClientError(
        f"{len(items)} items with {size / 1e6:.1f} MB are too much for one request "
        f"(at most {MAX_ITEMS} and {most_bytes / 1e6:.0f} MB). Put a manifest into S3, a line "
        '{"id": "…", "file": "s3://bucket/key"} for each file, where the namespace may read: '
        "aws s3 cp manifest.jsonl s3://BUCKET/KEY, then --manifest s3://BUCKET/KEY"
    )


def choose_key(client: Client, body: JsonObject) -> str:
    """Return the key of the newest unfinished job of the same body, else a new one.

    What is finished is never taken for an answer: the collections may have grown since.
    """
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    stem = f"cli-{digest[:24]}"
    found = client.call("GET", api_path("jobs"), query={"search": stem, "limit": "1"})["results"]
    if found and (found[0]["status"] in _UNFINISHED or found[0]["retryable"]):
        return str(found[0]["idempotency_key"])
    return f"{stem}-{secrets.token_hex(4)}"


def _listed(what: str, faults: Sequence[str]) -> str:
    more = len(faults) - _SHOWN_FAULTS
    lines = [*faults[:_SHOWN_FAULTS], *([f"and {more} more"] if more > 0 else [])]
    return f"{what}: " + "; ".join(lines)

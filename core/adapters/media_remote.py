"""Extractors whose vectors a model elsewhere makes, of files and of texts.

They run in the process that serves the API, since the one that decodes has no network. Files are
not decoded here: their first bytes say what they are, and the model gets them as they came.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from core.adapters.embed_batches import Batches
from core.adapters.embed_models import (
    Capacity,
    Input,
    Kind,
    capacity_of,
    read_vectors,
    request_body,
)
from core.adapters.embed_retries import Retries
from core.adapters.embed_transports import Transport
from core.arrays import Float32
from core.deadline import Deadline
from core.errors import DeadlineError, MediaError, UnavailableError
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor
from core.media.file_types import check_declared, sniff_type
from core.media.parameters import with_defaults
from core.media.rules import ExtractorRules
from core.ports.media import Chunk, Extraction, MediaInfo
from core.rows.values import canonical
from core.types import JsonObject

# Calls that wait for models, each a thread.
_THREADS: Final = 32
_TEXT: Final = "text/plain"


class RemoteMediaExtractor:
    """A `MediaExtractor` for remote extractors: one chunk for a whole file or text.

    `transports` holds one for each family. `rules` is asked again at each call: what an operator
    has withdrawn since a collection was made is refused.
    """

    def __init__(
        self,
        rules: ExtractorRules,
        transports: Mapping[str, Transport],
        *,
        retries: Retries | None = None,
    ) -> None:
        self._rules = rules
        self._transports = transports
        self._retries = retries or Retries()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="embed")
        self._batches: Batches[Input] = Batches(self._pool)

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        """Return the one chunk of a file, or of a text if that is what it is declared as.

        See `MediaExtractor.extract`.
        """
        del max_chunks  # a file is one chunk
        info = self._rules.check(find_extractor(extractor), params or {})
        values = with_defaults(info.parameters, params or {})
        one = _input(info, data, declared_type)
        capacity = capacity_of(info.name, values, one.kind)
        _check_size(info, one, capacity)
        deadline.check("embedding")
        future = self._batches.submit(
            (info.reference, canonical(values), one.kind, as_query),
            one,
            size=len(one.data) * 4 // 3,
            most=capacity.inputs,
            deadline=deadline,
            send=lambda inputs, until: self._send(info, values, inputs, as_query, until),
        )
        media = MediaInfo(
            content_type=one.content_type,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        return Extraction((Chunk(_result(future, deadline)),), media)

    def close(self) -> None:
        """Let calls in flight end by themselves; later ones raise `UnavailableError`."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._batches.close()

    def _send(
        self,
        info: ExtractorInfo,
        values: JsonObject,
        inputs: Sequence[Input],
        as_query: bool,
        deadline: Deadline,
    ) -> list[Float32]:
        body = request_body(info.name, values, inputs, as_query=as_query)
        transport = self._transports[info.family]
        raw = self._retries.run(
            lambda: transport(values, body, deadline), deadline, f"embedding by {info.name}"
        )
        return read_vectors(info.name, raw, len(inputs), info.dimension)


def _input(info: ExtractorInfo, data: bytes, declared_type: str | None) -> Input:
    if not data:
        raise MediaError("the content is empty: there is nothing to embed")
    declared = (declared_type or "").partition(";")[0].strip().lower()
    if declared == _TEXT:
        return _text(data)
    found = sniff_type(data)
    kind = _kind(found)
    if found is None or kind is None or kind not in info.modalities:
        raise MediaError(
            f"{info.name} takes {', '.join(info.modalities)}; the bytes show "
            f"{found or 'no known type'} (a text is declared as {_TEXT})",
            found=found,
        )
    check_declared(found, declared_type)
    return Input(kind, data, found)


def _kind(content_type: str | None) -> Kind | None:
    kinds: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get((content_type or "").partition("/")[0])


def _text(data: bytes) -> Input:
    try:
        text = data.decode().strip()
    except UnicodeDecodeError as error:
        raise MediaError("the text is not UTF-8") from error
    if not text:
        raise MediaError("the text is empty: there is nothing to embed")
    return Input("text", text.encode(), _TEXT)


def _check_size(info: ExtractorInfo, one: Input, capacity: Capacity) -> None:
    if one.kind == "text":
        if len(one.text) > capacity.text_chars:
            raise MediaError(
                f"the text has {len(one.text)} characters; {info.name} takes {capacity.text_chars}"
            )
        return
    if len(one.data) > capacity.file_bytes:
        raise MediaError(
            f"the file has {len(one.data)} bytes; {info.name} takes {capacity.file_bytes}"
        )
    if capacity.types is not None and one.content_type not in capacity.types:
        accepted = ", ".join(sorted(capacity.types))
        raise MediaError(f"{info.name} takes {accepted}, not {one.content_type}")


def _result(future: "Future[Float32]", deadline: Deadline) -> Float32:
    try:
        # An endless wait cannot be interrupted; nobody waits a day.
        return future.result(timeout=min(deadline.remaining(), 86_400))
    except FutureTimeoutError as error:
        future.cancel()
        raise DeadlineError("time ran out while a model embedded the content") from error
    except CancelledError as error:
        raise UnavailableError("the client of embedding models was closed") from error

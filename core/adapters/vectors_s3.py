"""Vector indexes on Amazon S3 Vectors: approximate, without a bound by memory, billed by use.

Limits are the service's own (User Guide, "Limitations and restrictions", read in November 2026).
It allows more than 100 results since June 2026, in pages; we ask for one page.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np

from core.adapters.aws_clients import LazyClient, error_code, make_client, map_error
from core.arrays import Float32, Float64
from core.errors import DeadlineError, NotFoundError, UnavailableError
from core.filtering.pushdown import size_of
from core.ports.vector_indexes import Candidates, IndexEntry, IndexRef
from core.search.scores import exact_scores
from core.types import JsonObject, VectorSpec

MAX_DIMENSION: Final = 4096
MAX_PUT: Final = 500
MAX_DELETE: Final = 500
MAX_GET: Final = 100
MAX_PAGE: Final = 1000
MAX_CANDIDATES: Final = 100
MAX_KEY: Final = 1024
MAX_FILTERABLE_BYTES: Final = 2048
# A request may have 20 MiB; a float32 takes at most 24 bytes as JSON.
_MAX_REQUEST_BYTES: Final = 16 << 20
_FLOAT_BYTES: Final = 24
_CONCURRENCY: Final = 32
_ATTEMPTS: Final = 8
# A service that hangs is given up before the call that waits for it is ended.
_PATIENCE_S: Final = 15.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_PAUSE_STEP_S: Final = 0.05
_METRICS: Final = ("cosine", "euclidean")

Stop = Callable[[], bool]
T = TypeVar("T")
R = TypeVar("R")


def _never() -> bool:
    return False


class S3VectorIndexes:
    """The indexes of one vector bucket. Safe for several threads.

    `make` gives the boto3 client, which must not try again by itself; `sleep` takes seconds.
    """

    most_candidates: Final = MAX_CANDIDATES

    def __init__(
        self,
        bucket: str,
        make: Callable[[], Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = bucket
        # One try each: pauses between them must end with the caller's time, not after it.
        self._client = LazyClient(
            make or (lambda: make_client("s3vectors", read_timeout_s=10, attempts=1))
        )
        self._sleep = sleep
        self._random = random.SystemRandom()

    def spec_fault(self, spec: VectorSpec) -> str | None:
        """Say why such vectors cannot be kept here, None if they can."""
        if spec.metric not in _METRICS:
            return (
                f"S3 Vectors compares by {' or '.join(_METRICS)}, not by {spec.metric}: "
                "keep this collection embedded"
            )
        if spec.dimension > MAX_DIMENSION:
            return f"S3 Vectors takes 1 to {MAX_DIMENSION} numbers, not {spec.dimension}"
        return None

    def entry_fault(self, index: IndexRef, entry: IndexEntry) -> str | None:
        """Say why this entry cannot be stored, None if it can."""
        if index.spec.metric == "cosine" and not entry.vector.any():
            return "a vector of zeros has no direction, so S3 Vectors does not take it for cosine"
        size = size_of(entry.metadata)
        if size > MAX_FILTERABLE_BYTES:
            return (
                f"the document's filterable fields take {size} bytes; S3 Vectors allows "
                f"{MAX_FILTERABLE_BYTES}"
            )
        if len(entry.key.encode()) > MAX_KEY:
            return f"the document's id makes a key of more than {MAX_KEY} bytes"
        return None

    def create(self, index: IndexRef) -> None:
        """Make an empty index; no error if there is one of that name."""
        try:
            self._call(
                "create_index",
                index,
                {
                    "dataType": "float32",
                    "dimension": index.spec.dimension,
                    "distanceMetric": index.spec.metric,
                },
            )
        except _ExistsError:
            return

    def drop(self, index: IndexRef) -> None:
        """Remove an index and what is in it; no error if there is none."""
        try:
            self._call("delete_index", index, {})
        except NotFoundError:
            return

    def put(self, index: IndexRef, entries: Sequence[IndexEntry]) -> None:
        """Store entries, all of them once this returns; after an error, any of them."""
        each = index.spec.dimension * _FLOAT_BYTES + MAX_FILTERABLE_BYTES + MAX_KEY
        count = max(1, min(MAX_PUT, _MAX_REQUEST_BYTES // each))

        def put(batch: Sequence[IndexEntry]) -> None:
            vectors = [
                {
                    "key": entry.key,
                    "data": {"float32": entry.vector.tolist()},
                    **({"metadata": dict(entry.metadata)} if entry.metadata else {}),
                }
                for entry in batch
            ]
            self._call("put_vectors", index, {"vectors": vectors})

        # One after another: an index takes 2,500 vectors a second, and a throttled write is slower.
        for start in range(0, len(entries), count):
            put(entries[start : start + count])

    def delete(self, index: IndexRef, keys: Sequence[str], *, once: bool = False) -> None:
        """Remove keys; no error for those that are not there. `once`: try once, and not again."""
        attempts = 1 if once else _ATTEMPTS
        for start in range(0, len(keys), MAX_DELETE):
            batch = list(keys[start : start + MAX_DELETE])
            self._call("delete_vectors", index, {"keys": batch}, attempts=attempts)

    def query(
        self,
        index: IndexRef,
        vectors: Float32,
        k: int,
        filter_: JsonObject | None = None,
        *,
        stop: Stop = _never,
    ) -> list[Candidates]:
        """Return near neighbours of each vector; several are asked for at once.

        A cosine distance becomes 1 - distance. What the service calls a Euclidean distance is
        not documented (it may be squared), so those vectors are read and scored here.
        """
        wanted = min(k, MAX_CANDIDATES)
        return _together(
            lambda vector, stop: self._query(index, vector, wanted, filter_, stop),
            list(vectors),
            stop,
        )

    def _query(
        self, index: IndexRef, vector: Float32, k: int, filter_: JsonObject | None, stop: Stop
    ) -> Candidates:
        cosine = index.spec.metric == "cosine"
        if cosine and not vector.any():
            return Candidates((), (), full=False)  # the service refuses it: it is near nothing
        request: JsonObject = {
            "topK": k,
            "queryVector": {"float32": vector.tolist()},
            "returnDistance": True,
        }
        if filter_ is not None:
            request["filter"] = filter_
        found: list[JsonObject] = []
        token: JsonObject = {}
        while len(found) < k:
            page = self._call("query_vectors", index, {**request, **token}, stop=stop)
            found += page["vectors"]
            if not page.get("nextToken"):
                break
            token = {"nextToken": page["nextToken"]}
        keys = [one["key"] for one in found[:k]]
        if cosine:
            distances = np.array([one["distance"] for one in found[:k]], np.float64)
            scores: Float64 = np.clip(1.0 - distances, -1.0, 1.0)
        else:
            keys, scores = self._rescored(index, vector, keys, stop)
        return Candidates(tuple(keys), tuple(scores.tolist()), full=len(found) >= k)

    def _rescored(
        self, index: IndexRef, vector: Float32, keys: Sequence[str], stop: Stop
    ) -> tuple[list[str], Float64]:
        originals = self.get(index, keys, stop=stop)
        there = [key for key in keys if key in originals]
        if not there:
            return [], np.empty(0, np.float64)
        rows = np.stack([originals[key] for key in there])
        scores = exact_scores(vector, rows, index.spec.metric, index.spec.dimension)
        order = np.argsort(-scores, kind="stable")
        return [there[place] for place in order.tolist()], np.asarray(scores[order])

    def get(
        self, index: IndexRef, keys: Sequence[str], *, stop: Stop = _never
    ) -> dict[str, Float32]:
        """Return the vectors of those keys that are there."""

        def read(batch: Sequence[str], stop: Stop) -> list[JsonObject]:
            request = {"keys": list(batch), "returnData": True}
            answer = self._call("get_vectors", index, request, stop=stop)
            vectors: list[JsonObject] = answer["vectors"]
            return vectors

        batches = [keys[start : start + MAX_GET] for start in range(0, len(keys), MAX_GET)]
        return {
            one["key"]: np.array(one["data"]["float32"], np.float32)
            for page in _together(read, batches, stop)
            for one in page
        }

    def pages(self, index: IndexRef, share: tuple[int, int] = (0, 1)) -> Iterator[list[str]]:
        """Yield every key that is there throughout, or those of one of several parts."""
        request: JsonObject = {"maxResults": MAX_PAGE}
        if share[1] > 1:
            request |= {"segmentIndex": share[0], "segmentCount": share[1]}
        token: JsonObject = {}
        while True:
            page = self._call("list_vectors", index, {**request, **token})
            yield [one["key"] for one in page["vectors"]]
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _call(
        self,
        operation: str,
        index: IndexRef,
        request: JsonObject,
        *,
        stop: Stop = _never,
        attempts: int = _ATTEMPTS,
    ) -> JsonObject:
        """Call the service, again after a while if it was busy or did not answer."""
        from botocore.exceptions import BotoCoreError, ClientError

        began = time.monotonic()
        for attempt in range(attempts):
            if stop():
                raise DeadlineError("time ran out while vectors were searched")
            try:
                call = getattr(self._client(), operation)
                answer: JsonObject = call(
                    vectorBucketName=self._bucket, indexName=index.name, **request
                )
                return answer
            except (BotoCoreError, ClientError) as error:
                code = error_code(error)
                if code == "NotFoundException":
                    raise NotFoundError("vector index", index.name) from error
                if code == "ConflictException":
                    raise _ExistsError(f"{index.name} is there already") from error
                mapped = map_error(error, "S3 Vectors")
                given_up = attempt == attempts - 1 or time.monotonic() - began > _PATIENCE_S
                if given_up or not isinstance(mapped, UnavailableError):
                    raise mapped from error
            self._pause(attempt, stop)
        raise UnavailableError("S3 Vectors did not answer")

    def _pause(self, attempt: int, stop: Stop) -> None:
        """Wait a random while, longer with each attempt, and no longer than the caller does."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
        left = self._random.uniform(longest / 2, longest)
        while left > 0 and not stop():
            step = min(left, _PAUSE_STEP_S)
            self._sleep(step)
            left -= step


class _ExistsError(Exception):
    """An index of that name is there already."""


def _together(work: Callable[[T, Stop], R], items: Sequence[T], stop: Stop) -> list[R]:
    """Run `work` on each item, several at once; one failure ends those that have not begun."""
    if len(items) == 1:
        return [work(items[0], stop)]
    failed = threading.Event()
    errors: list[BaseException] = []

    def run(item: T) -> R:
        try:
            return work(item, lambda: failed.is_set() or stop())
        except BaseException as error:
            errors.append(error)
            failed.set()
            raise

    if not items:
        return []
    # A pool of its own: those of the process wait for this very search.
    with ThreadPoolExecutor(min(len(items), _CONCURRENCY)) as pool:
        runs = [pool.submit(run, item) for item in items]
    if errors:
        raise errors[0]  # the cause; the others only stopped because of it
    return [done.result() for done in runs]

"""Lexical searches over pinned snapshots: one text index for each version of a collection.

Everything here blocks and runs in a thread.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

import numpy as np

from core.arrays import Int32, Mask
from core.deadline import Deadline
from core.errors import DeadlineError
from core.hits import Evidence, Hit, SearchAnswer, TextRequest
from core.ports.text import TextIndex, TextSearch
from core.rows.row import Source
from core.runtime.searching import merge_hits, within_mask
from core.storage.snapshot import Snapshot
from core.types import JsonValue

# Of a document's own fields: what the service wrote there, and names of media.
_NO_TEXT = frozenset({"_internal", "document_id", "collection_id", "document_blobs"})
_SCHEMES = ("s3://", "http://", "https://", "data:")

Stop = Callable[[], bool]
_Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotText:
    """The index of a snapshot's texts, and where its rows lie: (n,) parts, (n,) segment rows.

    Rows are in ascending order of document ids; documents without text are in none.
    """

    index: TextIndex
    parts: Int32
    rows: Int32


class TextIndexes:
    """The text indexes of this process: bounded by bytes, least recently used out first."""

    def __init__(self, engine: TextSearch, max_bytes: int) -> None:
        self._engine = engine
        self._max_bytes = max_bytes
        self._held: OrderedDict[_Key, SnapshotText] = OrderedDict()
        self._bytes = 0
        self._building: dict[_Key, _Build] = {}
        self._lock = threading.Lock()
        self.builds = 0  # how many began: statistics, and what tests look at

    def get(self, snapshot: Snapshot, deadline: Deadline, stop: Stop) -> SnapshotText:
        """Return the snapshot's index, built once however many threads ask for it at once.

        A build ends only when all who want it have stopped or run out of time. `DeadlineError`
        when this caller has; what else the build raises comes to all who wait, and is not kept.
        """
        # A collection may be dropped and made anew under its id.
        made = snapshot.manifest.incarnation
        key = (snapshot.namespace_id, snapshot.collection_id, made, snapshot.version)
        while True:
            with self._lock:
                held = self._held.get(key)
                if held is not None:
                    self._held.move_to_end(key)
                    return held
                build = self._building.get(key)
                mine = build is None
                if build is None:
                    build = self._building[key] = _Build()
                    self.builds += 1
                build.stops.append(stop)
            if mine:
                self._run(key, snapshot, build)
            elif not wait([build.done], _seconds(deadline)).done:
                raise DeadlineError("time ran out while texts were indexed")
            try:
                return build.done.result()
            except DeadlineError:
                # Given up by those who wanted it before this caller came: it begins anew.
                if mine or stop():
                    raise

    def _run(self, key: _Key, snapshot: Snapshot, build: "_Build") -> None:
        try:
            built = _index_snapshot(self._engine, snapshot, build.stop)
        except BaseException as error:
            with self._lock:
                del self._building[key]
            build.done.set_exception(error)
            return
        with self._lock:
            del self._building[key]
            self._held[key] = built
            self._bytes += built.index.size
            # One index larger than the bound stays until the next comes: it is in use.
            while self._bytes > self._max_bytes and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.index.size
        build.done.set_result(built)


@dataclass(slots=True)
class _Build:
    """An index that one thread builds, and all who wait for it."""

    stops: list[Stop] = field(default_factory=list)
    done: "Future[SnapshotText]" = field(default_factory=Future)

    def stop(self) -> bool:
        """Say whether nobody wants the index any more."""
        return all(stop() for stop in tuple(self.stops))


def search_texts(
    indexes: TextIndexes,
    snapshots: Sequence[Snapshot],
    request: TextRequest,
    deadline: Deadline,
    stop: Stop,
) -> SearchAnswer:
    """Return the k best live, passing documents of all the snapshots.

    The statistics behind a score are those of the document's own collection: which others are
    searched beside it changes no score.
    """
    runs: list[list[Hit]] = []
    compared = 0
    for snapshot in snapshots:
        text = indexes.get(snapshot, deadline, stop)
        mask = _text_mask(snapshot, text, request, stop)
        found = text.index.search(request.text, request.k, mask, stop=stop)
        compared += found.compared
        runs.append(_hits(snapshot, text, found.rows.tolist(), found.scores.tolist()))
    hits = merge_hits(runs, request.k)
    best = hits[0].score if hits else None
    return SearchAnswer((tuple(hits),), Evidence(compared, best, exact=True))


def texts_of(fields: Mapping[str, JsonValue]) -> list[str]:
    """Return all the strings of a document's fields, at any depth, that may hold words.

    Not what the service wrote there itself, and no value that is a URL: a bucket's name is not
    what a document says.
    """
    return list(_strings([value for name, value in fields.items() if name not in _NO_TEXT]))


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        if value and not _is_url(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _is_url(value: str) -> bool:
    # A sentence may begin with a URL, and has a space.
    return value[:8].lower().startswith(_SCHEMES) and not any(map(str.isspace, value))


def _index_snapshot(engine: TextSearch, snapshot: Snapshot, stop: Stop) -> SnapshotText:
    parts: list[int] = []
    rows: list[int] = []

    def documents() -> Iterator[list[str]]:
        for _, ref in snapshot.refs():
            strings = texts_of(snapshot.payload(ref))
            if stop():  # documents without text never reach the engine, which asks too
                raise DeadlineError("time ran out while texts were indexed")
            if strings:
                parts.append(ref.part)
                rows.append(ref.row)
                yield strings

    index = engine.build(documents(), stop=stop)
    return SnapshotText(index, np.array(parts, np.int32), np.array(rows, np.int32))


def _text_mask(
    snapshot: Snapshot, text: SnapshotText, request: TextRequest, stop: Callable[[], bool]
) -> Mask | None:
    if request.filter is None and request.within is None:
        return None  # all that is indexed lives
    mask: Mask = np.zeros(len(text.rows), np.bool_)
    for number, part in enumerate(snapshot.parts):
        chosen = snapshot.passing(part, request.filter, stop)
        chosen = within_mask(chosen, request.within, snapshot, number, part)
        own = text.parts == number
        mask[own] = True if chosen is None else chosen[text.rows[own]]
    return mask


def _hits(
    snapshot: Snapshot, text: SnapshotText, found: Sequence[int], scores: Sequence[float]
) -> list[Hit]:
    hits = []
    for place, score in zip(found, scores, strict=True):
        part, row = int(text.parts[place]), int(text.rows[place])
        document_id = snapshot.parts[part].segment.ids[row]
        hits.append(Hit(document_id, Source(snapshot.collection_id, part, row), score))
    return hits


def _seconds(deadline: Deadline) -> float | None:
    seconds = deadline.remaining()
    return None if seconds == float("inf") else seconds

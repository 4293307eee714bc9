"""A service whose files come from a table, and whose features are digests: equal bytes match."""

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.app import App
from core.deadline import NEVER, Deadline
from core.engine import Engine
from core.errors import (
    DeadlineError,
    FetchError,
    FetchUnavailableError,
    MediaError,
    NoTrackError,
)
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace
from core.models.retriever import RetrieverCreate
from core.models.scan_answers import ScanAnswer
from core.models.scans import ScanRequest
from core.ports.media import Chunk, Extraction, FetchedMedia, MediaInfo, ReadObject
from core.scan.scanner import Scanner
from core.scan.scans import Scans
from core.scan.store import ScanStore
from core.types import JsonObject
from tests.core.service import make_namespace, running_app

IMAGE, SOUND = b"\xff\xd8\xff", b"ID3"
PDQ = "mixpeek://image.pdq@v2/hash"
HASH = "image_pdq_v2_hash"


def url(name: str) -> str:
    """Return the address of a file; what comes back follows from its name."""
    return f"https://files.example/{name}"


def bytes_of(name: str) -> bytes:
    """Return a file's bytes: names that differ only behind a `~` have equal ones."""
    return (SOUND if name.startswith("sound") else IMAGE) + name.partition("~")[0].encode()


@dataclass(slots=True)
class TableFetcher:
    """Files by name: `bad…` is refused, `down…` is not there now, `slow…` outlasts the call."""

    calls: Counter[str] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def fetch(self, content: str, *, deadline: Deadline, read_object: ReadObject) -> FetchedMedia:
        """Return the file's bytes, or do what its name says."""
        name = content.rpartition("/")[2]
        with self._lock:
            self.calls[name] += 1
        if name.startswith("bad"):
            raise FetchError(f"{name} is never fetched")
        if name.startswith("down"):
            raise FetchUnavailableError(f"{name} is not there now")
        if name.startswith("slow"):
            threading.Event().wait(min(deadline.remaining(), 5))
            raise DeadlineError("time ran out while fetching")
        return FetchedMedia(bytes_of(name), name)


@dataclass(slots=True)
class DigestExtractor:
    """One chunk a file, its SHA-256. `torn…` cannot be read, `mute…` has nothing to read, `crash…`
    is a defect of ours, `hang…` outlasts the call."""

    calls: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def extract(self, extractor: str, data: bytes, *, deadline: Deadline, **_: Any) -> Extraction:
        """Return the file's digest, or do what its name says."""
        with self._lock:
            self.calls[extractor, data] += 1
        if b"mute" in data:
            raise NoTrackError("the file has no sound in it")
        if b"torn" in data:
            raise MediaError("the file is torn")
        if b"crash" in data:
            raise RuntimeError("a defect of ours")
        if b"hang" in data:
            threading.Event().wait(min(deadline.remaining(), 5))
            raise DeadlineError("time ran out while extracting")
        digest = hashlib.sha256(data)
        vector = np.frombuffer(digest.digest(), np.uint8)
        media = MediaInfo("image/jpeg", len(data), digest.hexdigest(), width=4, height=3)
        return Extraction((Chunk(vector),), media)

    def close(self) -> None:
        """Nothing runs."""


@dataclass(slots=True)
class World:
    """An app with these files, and one namespace with three retrievers."""

    app: App
    namespace: Namespace
    fetcher: TableFetcher
    extractor: DigestExtractor
    engine: Engine
    scans: Scans

    def scan(
        self,
        files: Sequence[Any],
        retrievers: Sequence[str] = ("art", "logos"),
        *,
        deadline: Deadline = NEVER,
        namespace: Namespace | None = None,
        **more: Any,
    ) -> JsonObject:
        """Run a scan; its answer fits the model."""
        body = {"files": list(files), "retrievers": list(retrievers), **more}
        request = parse_model(ScanRequest, body)
        where = namespace or self.namespace
        answer = asyncio.run(self.scans.run(where, request, deadline=deadline))
        ScanAnswer.model_validate(answer)
        return answer

    def get(self, scan_id: str, *, presign: bool = False, **more: Any) -> JsonObject:
        """Read a scan again."""
        where = more.get("namespace", self.namespace)
        return asyncio.run(self.scans.get(where, scan_id, presign=presign, deadline=NEVER))

    def batch(self, names: Sequence[str], retriever: str) -> list[JsonObject]:
        """Return the results of the same files in a batch."""
        queries = [{"inputs": {"file": url(name)}} for name in names]
        request = parse_model(BatchRequest, {"queries": queries})
        work = self.engine.execute_batch(self.namespace, retriever, request, deadline=NEVER)
        results: list[JsonObject] = asyncio.run(work)["results"]
        return results

    def retriever(self, name: str, collection: str, **more: Any) -> None:
        """Make a retriever of copies in a collection."""
        make_retriever(self.app, self.namespace, name, collection, **more)

    def references(
        self, collection: str, names: Sequence[str], vector: str = HASH, **fields: Any
    ) -> None:
        """Store files as references of a collection, which is made if it is not there."""
        add_references(self.app, self.namespace, collection, names, vector, **fields)


@contextmanager
def world(folder: Path, **changes: Any) -> Iterator[World]:
    """Yield a world: `art` holds art0…art4, `logos` logo0…logo2; both are searched by images."""
    with running_app(folder, **changes) as app:
        namespace = make_namespace(app)
        fetcher, extractor = TableFetcher(), DigestExtractor()
        services: Any = replace(app._services, fetcher=fetcher, extractor=extractor)
        planner, delivery = app.engine._planner, app.engine._delivery
        scans = Scans(
            services,
            Scanner(services, planner, app.retrievers),
            ScanStore(app.records, delivery.results, 3600),
            delivery,
        )
        engine = Engine(services, planner, delivery)
        made = World(app, namespace, fetcher, extractor, engine, scans)
        made.references("art", [f"art{n}" for n in range(5)])
        made.references("logos", [f"logo{n}" for n in range(3)])
        made.retriever("art", "art")
        made.retriever("logos", "logos")
        yield made


def add_references(
    app: App,
    namespace: Namespace,
    collection: str,
    names: Sequence[str],
    vector: str = HASH,
    **fields: Any,
) -> None:
    """Store files as references of a collection, which is made if it is not there."""
    if collection not in [c.collection_name for c in app.collections.all(namespace.namespace_id)]:
        spec = {"name": vector, "dimension": 256, "metric": "hamming"}
        body = {"collection_name": collection, "vector_configs": [spec]}
        app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
    documents = [
        {
            "document_id": name,
            "vectors": {vector: hashlib.sha256(bytes_of(name)).hexdigest()},
            "payload": {"filename": f"{name}.jpg", **fields},
        }
        for name in names
    ]
    request = parse_model(UpsertRequest, {"collection_id": collection, "documents": documents})
    app.documents.upsert(namespace, request, deadline=NEVER)


def make_retriever(
    app: App,
    namespace: Namespace,
    name: str,
    collection: str,
    *,
    feature: str = PDQ,
    kind: str = "image",
    stages: Sequence[JsonObject] = (),
    search: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Store a retriever that searches by a file, and has more stages behind."""
    query = {"input_mode": "content", "value": "{{INPUT.file}}"}
    entry = {"feature_uri": feature, "query": query, **(search or {})}
    parameters = {"searches": [entry], "final_top_k": 25}
    config = {"stage_id": "feature_search", "parameters": parameters}
    body = {
        "retriever_name": name,
        "collection_identifiers": [collection],
        "stages": [{"stage_name": "near", "config": config}, *stages],
        "input_schema": {"file": {"type": kind, "required": True}},
        **more,
    }
    app.retrievers.create(namespace, parse_model(RetrieverCreate, body), check=app.engine.check)


def cells_of(answer: JsonObject) -> dict[tuple[int, str], JsonObject]:
    """Return the cells of an answer by file and retriever."""
    return {
        (file["index"], name): cell
        for file in answer["files"]
        for name, cell in file["retrievers"].items()
    }


_BESIDE = {
    *("execution_id", "duration_ms", "stage_statistics", "index", "duplicate_of"),
    *("verdict", "reasons", "best_match", "retriever_version"),
}


def result_of(cell: Mapping[str, Any]) -> JsonObject:
    """Return what a cell and a batch's result of the same file must have alike."""
    return {key: value for key, value in cell.items() if key not in _BESIDE}

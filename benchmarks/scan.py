"""One scan of 20 files x 3 retrievers against 60 single calls: run `python -m benchmarks.scan`.

Real photographs, altered, over HTTP to a server that is a process of its own; the client keeps one
connection. The retrievers search three collections: real photographs among 50,000 fingerprints.
"""

import base64
import http.client
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.batch import start_server
from benchmarks.service import opened
from benchmarks.timing import interleave
from core.app import App
from core.deadline import NEVER
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.storage.segments import StoredDocument
from handlers import photographs as corpus

NAMESPACE, URI, VECTOR = "bench", "mixpeek://image.pdq@v2/hash", "image_pdq_v2_hash"
RETRIEVERS = ("faces", "logos", "artworks")
FILES, REFERENCES, TURNS = 20, 50_000, 7


def main() -> None:
    """Fill a folder, serve it, measure, and print what came out."""
    pictures = corpus.photographs(say=print)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder) as app:
            key = fill(app, [p for p in pictures if p.role == "reference"])
        server, port = start_server(folder)
        try:
            measure(port, key, [_file(pictures, n) for n in range(FILES)])
        finally:
            server.terminate()
            server.wait()


def fill(app: App, references: list[corpus.Photograph]) -> str:
    """Make a collection and a retriever of each name; return an admin key."""
    body = {"namespace_name": NAMESPACE}
    namespace = app.namespaces.create(parse_model(StandaloneNamespaceCreate, body))
    for number, name in enumerate(RETRIEVERS):
        _fill_collection(app, namespace, name, number, references[number :: len(RETRIEVERS)])
        query = {"input_mode": "content", "value": "{{INPUT.image}}"}
        parameters = {"searches": [{"feature_uri": URI, "query": query}], "final_top_k": 10}
        stage = {"stage_name": "near"}
        config = {"stage_id": "feature_search", "parameters": parameters}
        retriever = {
            "retriever_name": name,
            "collection_identifiers": [name],
            "stages": [{**stage, "config": config}],
            "input_schema": {"image": {"type": "image", "required": True}},
        }
        request = parse_model(RetrieverCreate, retriever)
        app.retrievers.create(namespace, request, check=app.engine.check)
    return app.keys.create("bench", "admin")[1]


def _fill_collection(
    app: App, namespace: Namespace, name: str, seed: int, pictures: list[corpus.Photograph]
) -> None:
    extractor = {"feature_extractor_name": "image.pdq"}
    body = {"collection_name": name, "feature_extractor": extractor}
    place = namespace.namespace_id
    made = app.collections.create(place, parse_model(CollectionCreate, body))
    content = [
        {"document_id": p.name, "content": base64.b64encode(p.path.read_bytes()).decode()}
        for p in pictures
    ]
    request = parse_model(UpsertRequest, {"collection_id": name, "documents": content})
    app.documents.upsert(namespace, request, deadline=NEVER)
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 256, (REFERENCES, 32), np.uint8)
    documents = [StoredDocument(f"r{n:06}", {}, {VECTOR: h}) for n, h in enumerate(hashes)]
    app.store.upsert(place, made.collection_id, documents)
    app.store.merge(place, made.collection_id)


def _file(pictures: list[corpus.Photograph], number: int) -> str:
    ways = list(corpus.ALTERATIONS)
    picture = pictures[number * 7 % len(pictures)]
    data = corpus.altered(picture, ways[number % len(ways)], seed=number)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def measure(port: int, key: str, files: list[str]) -> None:
    """Time both ways in turns, check that they answer alike, print a table and the ratio."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {
        "Authorization": f"Bearer {key}",
        "X-Namespace": NAMESPACE,
        "Content-Type": "application/json",
    }
    scan = orjson.dumps({"files": files, "retrievers": RETRIEVERS, "concurrency": 20})
    singles = [
        (f"/v1/retrievers/{name}/execute", orjson.dumps({"inputs": {"image": f}, "limit": 10}))
        for f in files
        for name in RETRIEVERS
    ]

    def post(path: str, body: bytes) -> Any:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data[:500]
        return orjson.loads(data)

    def run_scan() -> list[Any]:
        answer = post("/v1/scans", scan)
        return [c["documents"] for f in answer["files"] for c in f["retrievers"].values()]

    def run_singles() -> list[Any]:
        return [post(path, body)["documents"] for path, body in singles]

    assert run_scan() == run_singles()
    times = interleave({"one scan of 20 x 3": run_scan, "60 single executes": run_singles}, TURNS)
    print(
        f"{FILES} photographs of {sum(map(len, files)) // FILES:,} bytes on average, as base64, "
        f"against {len(RETRIEVERS)} x {REFERENCES:,} fingerprints, on a kept-alive connection"
    )
    for name, value in times.items():
        print(f"  {name:24}{value:10.1f} ms")
    speedup = times["60 single executes"] / times["one scan of 20 x 3"]
    milliseconds = {name: round(value, 1) for name, value in times.items()}
    print(json.dumps({"scan_speedup": round(speedup, 2), "ms": milliseconds}))


if __name__ == "__main__":
    main()

"""A service with stored vectors and a retriever over them, made without going through HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.app import App, build_app
from core.models.base import parse_model
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.settings import Settings
from core.storage.segments import StoredDocument

NAMESPACE, RETRIEVER, VECTOR = "bench", "nearest", "emb"
_CHUNK = 10_000


def fill(folder: Path, vectors: Any) -> str:
    """Store unit vectors (n, d) as documents with a small payload; return an admin key."""
    with opened(folder) as app:
        spec = {"name": VECTOR, "dimension": vectors.shape[1], "metric": "cosine"}
        body = {"namespace_name": NAMESPACE, "vector_configs": [spec]}
        namespace = app.namespaces.create(parse_model(StandaloneNamespaceCreate, body))
        store, collection_id = app.store, namespace.default_collection_id
        for start in range(0, len(vectors), _CHUNK):
            part = vectors[start : start + _CHUNK]
            documents = [make_document(start + i, vector) for i, vector in enumerate(part)]
            store.upsert(namespace.namespace_id, collection_id, documents)
        store.merge(namespace.namespace_id, collection_id)
        _make_retriever(app, namespace)
        _, key = app.keys.create("bench", "admin")
        return key


@contextmanager
def opened(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[App]:
    """Yield the app on a data folder."""
    app = build_app(Settings.local(folder, environment or {}))
    try:
        yield app
    finally:
        app.close()


def make_document(number: int, vector: Any) -> StoredDocument:
    """Return a document with the vector and a small payload."""
    fields = {
        "title": f"Reference picture {number}",
        "owner": f"owner-{number % 97}",
        "image_url": f"s3://references/2026/{number:07}.jpg",
        "year": 1990 + number % 35,
    }
    return StoredDocument(f"ref-{number:07}", fields, {VECTOR: vector})


def _make_retriever(app: App, namespace: Namespace) -> None:
    query = {"input_mode": "vector", "value": "{{INPUT.vector}}"}
    search = {"feature_uri": VECTOR, "query": query, "top_k": 10}
    parameters = {"searches": [search], "final_top_k": 10}
    stage = {"stage_name": "nearest", "config": {"stage_id": "feature_search"}}
    stage["config"] = {"stage_id": "feature_search", "parameters": parameters}
    schema = {"vector": {"type": "array", "required": True}}
    body = {"retriever_name": RETRIEVER, "stages": [stage], "input_schema": schema}
    request = parse_model(RetrieverCreate, body)
    app.retrievers.create(namespace, request, check=app.engine.check)

"""A whole service on a temporary folder, and the few calls that most tests begin with."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.app import App, build_app
from core.deadline import NEVER, Deadline
from core.models.base import parse_model
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest, ExecuteRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import Retriever, RetrieverCreate
from core.settings import Settings
from core.types import JsonObject

DIMENSION = 8


@contextmanager
def running_app(folder: Path, **changes: Any) -> Iterator[App]:
    """Yield an app on a data folder; `changes` are settings."""
    app = build_app(replace(Settings.local(folder, {}), **changes))
    try:
        yield app
    finally:
        app.close()


def make_namespace(app: App, name: str = "shop") -> Namespace:
    """Make a standalone namespace with one cosine vector, `emb`."""
    specs = [{"name": "emb", "dimension": DIMENSION, "metric": "cosine"}]
    body = {"namespace_name": name, "vector_configs": specs}
    return app.namespaces.create(parse_model(StandaloneNamespaceCreate, body))


def random_documents(count: int, seed: int = 0) -> list[JsonObject]:
    """Return documents with a vector, a brand, a number, and tags; some vectors are equal."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, DIMENSION)).astype(np.float32)
    vectors[1::7] = vectors[0]  # ties
    return [
        {
            "document_id": f"d{i:04}",
            "vectors": {"emb": vectors[i].tolist()},
            "payload": {
                "brand": ("acme", "zeta", "noma")[i % 3],
                "price": int(random.integers(0, 50)),
                "tags": ["red", "blue", "tall"][: i % 4],
                "meta": {"group": i % 5},
            },
        }
        for i in range(count)
    ]


def upsert(app: App, namespace: Namespace, documents: Sequence[JsonObject]) -> JsonObject:
    """Store documents in the namespace's default collection."""
    request = parse_model(UpsertRequest, {"documents": list(documents)})
    return app.documents.upsert(namespace, request, deadline=NEVER)


def search_stage(**parameters: Any) -> JsonObject:
    """Return a search by the input `v`."""
    query = {"input_mode": "vector", "value": "{{INPUT.v}}"}
    search = {"feature_uri": "emb", "query": query, "top_k": parameters.pop("top_k", 100)}
    return stage("feature_search", searches=[search], **parameters)


def stage(stage_id: str, **parameters: Any) -> JsonObject:
    """Return a stage in the nested spelling."""
    return {"stage_name": stage_id, "config": {"stage_id": stage_id, "parameters": parameters}}


def make_retriever(
    app: App, namespace: Namespace, stages: Sequence[JsonObject], name: str = "nearest", **more: Any
) -> Retriever:
    """Store a retriever over the default collection."""
    body = {"retriever_name": name, "stages": list(stages), **more}
    request = parse_model(RetrieverCreate, body)
    return app.retrievers.create(namespace, request, check=app.engine.check)


def run_batch(
    app: App,
    namespace: Namespace,
    retriever: str,
    queries: Sequence[Mapping[str, Any]],
    *,
    deadline: Deadline = NEVER,
    **more: Any,
) -> JsonObject:
    """Run a batch; each query is `{inputs, filters?}`."""
    request = parse_model(BatchRequest, {"queries": list(queries), **more})
    return asyncio.run(app.engine.execute_batch(namespace, retriever, request, deadline=deadline))


def run_single(
    app: App, namespace: Namespace, retriever: str, query: Mapping[str, Any], **more: Any
) -> JsonObject:
    """Run one query by itself."""
    request = parse_model(ExecuteRequest, {**query, **more})
    return asyncio.run(app.engine.execute(namespace, retriever, request, deadline=NEVER))


def vector_query(seed: int, **more: Any) -> JsonObject:
    """Return a query with a random vector."""
    vector = np.random.default_rng(1000 + seed).normal(size=DIMENSION)
    return {"inputs": {"v": vector.tolist()}, **more}


# Differs between two runs of the very same query: ids and times.
_TIMINGS = ("index", "execution_id", "duration_ms", "stage_statistics", "duplicate_of")


def answer_of(result: Mapping[str, Any]) -> JsonObject:
    """Return what must be equal whenever the same query meets the same snapshot."""
    return {key: value for key, value in result.items() if key not in _TIMINGS}

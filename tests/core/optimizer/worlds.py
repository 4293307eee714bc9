"""Stored documents to run retrievers over: ties, gaps, mixed types, several segments, deletions."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.app import App
from core.deadline import NEVER
from core.errors import TrawlError
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import AdhocRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.types import JsonObject
from tests.core.optimizer.retrievers import BRANDS, INPUT_SCHEMA, Stages

DIMENSION = 4
_SPECS = [{"name": "emb", "dimension": DIMENSION, "metric": "cosine"}]
# What must not depend on the optimizer. Warnings and statistics tell of stages, so they may.
_EQUAL = (
    *("status", "documents", "total", "complete", "incomplete", "evidence", "facets", "limits"),
    "pagination",
)


_FIELDS = ("brand", "price", "tags", "meta", "text", "when", "score", "features", "a", "norm")


@dataclass(frozen=True)
class World:
    """A namespace with documents in `main` and `others`."""

    app: App
    namespace: Namespace

    def run(self, stages: Stages, *, optimize: bool, query: int, **more: Any) -> JsonObject:
        """Return what a query answers, of that which must be equal, or the error it raised."""
        vector = np.random.default_rng(query).integers(-2, 3, DIMENSION).astype(float) + 0.25
        body = {
            "stages": stages,
            "inputs": {"v": vector.tolist()},
            "input_schema": INPUT_SCHEMA,
            "settings": {"optimize": optimize},
            **more,
        }
        request = parse_model(AdhocRequest, body)
        try:
            answer = asyncio.run(
                self.app.engine.execute_adhoc(self.namespace, request, deadline=NEVER)
            )
        except TrawlError as error:
            return {"raised": error.code}
        failure = answer["error_detail"]
        return {key: answer[key] for key in _EQUAL} | {"error": failure and failure["code"]}


def make_world(
    app: App,
    name: str,
    *,
    mixed: bool = False,
    dotted: bool = False,
    warm: bool = True,
    count: int = 60,
) -> World:
    """Store documents in three writes, some of them replaced and some deleted.

    `mixed` ones have several types in one field, lack fields, and store fields of the names that
    searches write; `dotted` ones have dots in the names of fields. In a `warm` world every field
    is a column already, so that rows are loaded in parts.
    """
    body = {"namespace_name": name, "vector_configs": _SPECS}
    namespace = app.namespaces.create(parse_model(StandaloneNamespaceCreate, body))
    for collection in ("main", "others"):
        create = {"collection_name": collection, "vector_configs": _SPECS}
        app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, create))
    random = np.random.default_rng(len(name))

    def make(number: int) -> JsonObject:
        document = _document(random, number)
        if mixed:
            _mix(random, document["payload"])
        if dotted:
            document["payload"] |= _pick(random, {}, {"a.b": 1}, {"a": 5})
        return document

    documents = [make(number) for number in range(count)]
    _write(app, namespace, "main", documents[: count // 2])
    again = [make(number) for number in range(0, count // 2, 5)]
    _write(app, namespace, "main", [*documents[count // 2 :], *again])
    for number in (3, 7, count - 1):
        app.documents.delete(namespace, "main", f"d{number:03}")
    _write(app, namespace, "others", [_joined(n) for n in range(8)])
    world = World(app, namespace)
    for field in _FIELDS if warm else ():
        condition = {"field": field, "operator": "exists", "value": True}
        scan = {"config": {"stage_id": "attribute_filter", "parameters": condition}}
        world.run([scan], optimize=False, query=0, collection_identifiers=["main", "others"])
    return world


def _write(app: App, namespace: Namespace, collection: str, documents: list[JsonObject]) -> None:
    request = parse_model(UpsertRequest, {"documents": documents})
    found = app.collections.find(namespace.namespace_id, collection)
    place = replace(namespace, default_collection_id=found.collection_id)
    app.documents.upsert(place, request, deadline=NEVER)


def _document(random: np.random.Generator, number: int) -> JsonObject:
    payload: JsonObject = {
        "brand": _pick(random, *BRANDS),
        "price": _pick(random, 0, 1, 2, 3, 4, 1.5),
        "tags": _pick(random, [], ["red"], ["red", "blue"], ["red", "red"]),
        "meta": {
            "group": _pick(random, 0, 1, 2),
            "k": _pick(random, "x", "y"),
            "list": _pick(random, [], [1, 2]),
        },
        "text": _pick(random, "one fine day", "one fine day!", "two rainy days", ""),
        "when": _pick(random, "2024-05-01", "2023-01-01T10:00:00Z", "2024-05-01T00:30:00+02:00"),
        "clip": {"start": number * 370 % 5000, "end": number * 370 % 5000 + number * 7 % 600},
    }
    vector = random.integers(-2, 3, DIMENSION) + (0.5 if number % 3 else 0.0)
    if not vector.any():
        vector = np.ones(DIMENSION)
    document = {"document_id": f"d{number:03}", "payload": payload}
    # Some have no vector: a search cannot find them, a scan does.
    return document if number % 11 == 5 else {**document, "vectors": {"emb": vector.tolist()}}


def _mix(random: np.random.Generator, payload: JsonObject) -> None:
    payload["price"] = _pick(random, 0, 1, 2.5, "2", "ten", None, True)
    payload |= _pick(random, {}, {"score": _pick(random, 0.1, 7, "high", None)}, {"norm": 1})
    payload |= _pick(random, {}, {"a": {"b": 2}}, {"features": {"own": 1}})
    payload["meta"] = _pick(random, None, {}, {"group": "1"}, payload["meta"], 3)
    for name in ("brand", "tags", "text", "when"):
        fate = _pick(random, "kept", "kept", "kept", "null", "gone")
        if fate == "null":
            payload[name] = None
        elif fate == "gone":
            del payload[name]


def _pick(random: np.random.Generator, *values: Any) -> Any:
    return values[int(random.integers(len(values)))]


def _joined(number: int) -> JsonObject:
    payload = {
        "name": BRANDS[number % 4],
        "n": number % 3,
        "score": number / 10,
        "info": {"x": number},
        "brand": "joined",
    }
    vector = [1.0, float(number), 0.0, -1.0]
    return {"document_id": f"o{number}", "payload": payload, "vectors": {"emb": vector}}

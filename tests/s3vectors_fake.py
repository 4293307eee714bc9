"""Amazon S3 Vectors in this process: a real boto3 client, whose requests end here.

Every request is checked against botocore's own service model (names, types, required members,
least and greatest sizes, patterns, enumerations) and against the limits that the User Guide names;
answers and errors go back as the service's wire format, through botocore's parsers. Searches are
exact unless `drop` says otherwise.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import boto3
import numpy as np
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.model import ListShape, OperationModel, Shape, StructureShape

BUCKET = "vectors-test"
MOST_RESULTS = 100
MOST_METADATA = 40 * 1024
MOST_FILTERABLE = 2048
MOST_REQUEST = 20 * 1024 * 1024

Json = Any
Metadata = Mapping[str, Json]


class Fault(Exception):
    """An error of the service, by its name in the model."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


@dataclass
class Index:
    """One index: `vectors` holds, by key, the array and the metadata."""

    dimension: int
    metric: str
    vectors: dict[str, tuple[np.ndarray[Any, Any], Metadata]] = field(default_factory=dict)


class RawBody:
    """What `AWSResponse` reads its content from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self._data]


class FakeS3Vectors:
    """One vector bucket.

    `before(operation, request)` runs first and may raise `Fault`; `after` likewise, once the work
    is done: an answer that got lost. `drop(key)` true keeps a neighbour out of answers.
    `page_size` is how many results one page of a query or list holds.
    """

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self.before: Callable[[str, dict[str, Json]], None] = lambda operation, request: None
        self.after: Callable[[str, dict[str, Json]], None] = lambda operation, request: None
        self.drop: Callable[[str], bool] = lambda key: False
        self.page_size = 1000
        self.client = boto3.client(
            "s3vectors",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )
        self._model = self.client.meta.service_model
        self.client.meta.events.register("before-send.s3vectors", self._send)

    def count(self, operation: str) -> int:
        """How many requests of an operation came."""
        return sum(name == operation for name, _ in self.calls)

    def stored_keys(self) -> list[str]:
        """Every key of every index."""
        return sorted(key for index in self.indexes.values() for key in index.vectors)

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        name = request.url.rsplit("/", 1)[1]
        operation: OperationModel = self._model.operation_model(name)
        body = json.loads(request.body)
        self.calls.append((name, body))
        try:
            if len(request.body) > MOST_REQUEST:
                raise Fault("ValidationException", "request too large")
            check_shape(operation.input_shape, body, name)
            self.before(name, body)
            answer = getattr(self, f"_{_snake(name)}")(body)
            self.after(name, body)
            check_shape(operation.output_shape, answer, name)
        except Fault as fault:
            shapes = {shape.name: shape for shape in operation.error_shapes}
            assert fault.code in shapes, f"{name} cannot raise {fault.code}"
            status = shapes[fault.code].metadata["error"]["httpStatusCode"]
            error = json.dumps({"message": str(fault)}).encode()
            return _response(request.url, status, error, fault.code)
        return _response(request.url, 200, json.dumps(answer).encode())

    def _index(self, body: dict[str, Json]) -> Index:
        if body.get("vectorBucketName") != BUCKET:
            raise Fault("NotFoundException", "no such vector bucket")
        if body["indexName"] not in self.indexes:
            raise Fault("NotFoundException", "no such index")
        return self.indexes[body["indexName"]]

    def _create_index(self, body: dict[str, Json]) -> Json:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", body["indexName"]):
            raise Fault("ValidationException", "invalid index name")
        if body["indexName"] in self.indexes:
            raise Fault("ConflictException", "an index of that name exists")
        self.indexes[body["indexName"]] = Index(body["dimension"], body["distanceMetric"])
        name = body["indexName"]
        return {
            "indexArn": f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{BUCKET}/index/{name}"
        }

    def _delete_index(self, body: dict[str, Json]) -> Json:
        self._index(body)
        del self.indexes[body["indexName"]]
        return {}

    def _put_vectors(self, body: dict[str, Json]) -> Json:
        index = self._index(body)
        for one in body["vectors"]:
            vector = _read_vector(one["data"], index)
            metadata = one.get("metadata", {})
            _check_metadata(metadata)
            index.vectors[one["key"]] = (vector, metadata)
        return {}

    def _delete_vectors(self, body: dict[str, Json]) -> Json:
        index = self._index(body)
        for key in body["keys"]:
            index.vectors.pop(key, None)
        return {}

    def _get_vectors(self, body: dict[str, Json]) -> Json:
        index = self._index(body)
        found = [(key, *index.vectors[key]) for key in body["keys"] if key in index.vectors]
        return {"vectors": [_describe(key, v, m, body) for key, v, m in found]}

    def _list_vectors(self, body: dict[str, Json]) -> Json:
        index = self._index(body)
        of = body.get("segmentCount", 1)
        keys = sorted(
            key for key in index.vectors if crc32(key.encode()) % of == body.get("segmentIndex", 0)
        )
        keys = [key for key in keys if key > body.get("nextToken", "")]
        page = keys[: min(body.get("maxResults", 500), self.page_size)]
        more = {"nextToken": page[-1]} if len(page) < len(keys) else {}
        return {"vectors": [_describe(key, *index.vectors[key], body) for key in page], **more}

    def _query_vectors(self, body: dict[str, Json]) -> Json:
        index = self._index(body)
        if body["topK"] > MOST_RESULTS:
            raise Fault("ValidationException", f"topK above {MOST_RESULTS}")
        query = _read_vector(body["queryVector"], index)
        keys = [
            key
            for key, (_, metadata) in index.vectors.items()
            if passes(body.get("filter"), metadata) and not self.drop(key)
        ]
        ranked = sorted(
            (_distance(query, index.vectors[key][0], index.metric), key) for key in keys
        )
        ranked = ranked[: body["topK"]]
        start = int(body.get("nextToken", "0"))
        page = ranked[start : start + self.page_size]
        more = {"nextToken": str(start + len(page))} if start + len(page) < len(ranked) else {}
        asked = body.get("returnDistance")
        found = [{"key": k, **({"distance": d} if asked else {})} for d, k in page]
        return {"vectors": found, "distanceMetric": index.metric, **more}


def _response(url: str, status: int, data: bytes, error: str | None = None) -> AWSResponse:
    headers = HTTPHeaders()
    if error is not None:
        headers["x-amzn-errortype"] = error
    return AWSResponse(url, status, headers, RawBody(data))


def check_shape(shape: Shape | None, value: Json, path: str) -> None:
    """Raise `ValidationException` for what the service's model does not allow."""
    if shape is None:
        return
    if isinstance(shape, StructureShape) and not getattr(shape, "is_document_type", False):
        _need(isinstance(value, dict), path, "an object")
        for name in shape.required_members:
            _need(name in value, f"{path}.{name}", "present")
        for name, item in value.items():
            _need(name in shape.members, f"{path}.{name}", "a member of the model")
            check_shape(shape.members[name], item, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        _check_range(shape, len(value), path)
        member = shape.member
        if member.type_name == "float":
            _need(all(type(item) in (int, float) for item in value), path, "numbers")
            return
        for n, item in enumerate(value):
            check_shape(member, item, f"{path}.{n}")
    elif shape.type_name == "string":
        _check_range(shape, len(value), path)
        _need(value in shape.metadata.get("enum", [value]), path, "one of the enumeration")
        _need(re.fullmatch(shape.metadata.get("pattern", ".*"), value, re.S), path, "in the form")
    elif shape.type_name == "integer":
        _need(type(value) is int, path, "a whole number")
        _check_range(shape, value, path)


def _check_range(shape: Shape, size: int, path: str) -> None:
    least, most = shape.metadata.get("min", size), shape.metadata.get("max", size)
    _need(least <= size <= most, path, f"from {least} to {most}, got {size}")


def _need(holds: object, path: str, wanted: str) -> None:
    if not holds:
        raise Fault("ValidationException", f"{path}: must be {wanted}")


def _read_vector(data: Json, index: Index) -> np.ndarray[Any, Any]:
    vector = np.array(data["float32"], np.float32)
    _need(len(vector) == index.dimension, "data", f"{index.dimension} numbers")
    _need(np.isfinite(vector).all(), "data", "finite")
    _need(index.metric != "cosine" or vector.any(), "data", "no vector of zeros")
    return vector


def _check_metadata(metadata: Metadata) -> None:
    size = len(json.dumps(metadata).encode())
    _need(size <= MOST_METADATA and size <= MOST_FILTERABLE, "metadata", "2 KB at most")
    _need(len(metadata) <= 50, "metadata", "50 keys at most")
    for key, value in metadata.items():
        items = value if isinstance(value, list) else [value]
        _need(bool(items), f"metadata.{key}", "no empty list")
        _need(all(isinstance(i, str | int | float) for i in items), f"metadata.{key}", "scalars")


def _describe(key: str, vector: Any, metadata: Metadata, asked: dict[str, Json]) -> Json:
    data = {"data": {"float32": vector.tolist()}} if asked.get("returnData") else {}
    return {"key": key, **data, **({"metadata": metadata} if asked.get("returnMetadata") else {})}


def _distance(query: Any, vector: Any, metric: str) -> float:
    """The distance as float32. A Euclidean one is squared here: nobody may rely on its form."""
    wide, other = query.astype(np.float64), vector.astype(np.float64)
    if metric == "euclidean":
        return float(np.float32(np.square(wide - other).sum()))
    # Each from unit vectors, as an approximate index has them: not to the last bit what ours are.
    cosine = (wide * other).sum() / np.sqrt((wide * wide).sum() * (other * other).sum())
    return float(np.float32(1.0 - cosine))


def passes(tree: Json, metadata: Metadata) -> bool:
    """Evaluate a filter of the service's language; strict about what it does not allow."""
    if tree is None:
        return True
    _need(isinstance(tree, dict) and tree, "filter", "a non-empty object")
    return all(_clause(name, operand, metadata) for name, operand in tree.items())


def _clause(name: str, operand: Json, metadata: Metadata) -> bool:
    if name in ("$and", "$or"):
        _need(isinstance(operand, list) and operand, name, "a non-empty list")
        found = [passes(part, metadata) for part in operand]
        return all(found) if name == "$and" else any(found)
    _need(not name.startswith("$"), name, "an operator of the language")
    tests = operand if isinstance(operand, dict) else {"$eq": operand}
    return all(_test(op, wanted, metadata.get(name)) for op, wanted in tests.items())


def _test(operator: str, wanted: Json, stored: Json) -> bool:
    if operator in ("$in", "$ne", "$nin") and isinstance(stored, list):
        return False  # what they say of a list is not documented: take the worst
    if operator == "$exists":
        _need(isinstance(wanted, bool), operator, "a boolean")
        return (stored is not None) is bool(wanted)
    if operator in ("$in", "$nin"):
        _need(isinstance(wanted, list) and wanted, operator, "a non-empty list")
        held = any(_equals(stored, one) for one in wanted)
        return stored is not None and held if operator == "$in" else not held
    if operator in ("$eq", "$ne"):
        _need(isinstance(wanted, str | int | float), operator, "a scalar")
        return _equals(stored, wanted) is (operator == "$eq")
    compare = {"$gt": "__gt__", "$gte": "__ge__", "$lt": "__lt__", "$lte": "__le__"}
    _need(operator in compare, operator, "an operator of the language")
    _need(isinstance(wanted, int | float) and not isinstance(wanted, bool), operator, "a number")
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        return False
    return bool(getattr(float(stored), compare[operator])(float(wanted)))


def _equals(stored: Json, wanted: Json) -> bool:
    items = stored if isinstance(stored, list) else [stored]
    return any(type(one) is type(wanted) and one == wanted for one in items)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

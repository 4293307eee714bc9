"""What a write must fulfil before anything is stored: every fault of every document at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from core.errors import InvalidRequestError, Problem
from core.json_bytes import dump_json
from core.storage.segments import StoredDocument
from core.storage.vector_values import MAX_DIMENSION, MAX_VECTOR_NAMES, infer_spec, parse_vector
from core.types import VectorSpec

MAX_ID_BYTES: Final = 512


def check_documents(
    documents: Sequence[StoredDocument], specs: Mapping[str, VectorSpec], *, declared: bool
) -> tuple[list[StoredDocument], dict[str, VectorSpec]]:
    """Return the documents with their vectors as arrays, and the specs after this write.

    Unless `declared`, the first vector under a new name declares it. Raises `InvalidRequestError`
    with paths like `documents.3.vectors.clip`.
    """
    known = dict(specs)
    problems = _check_ids(documents)
    checked = []
    for index, document in enumerate(documents):
        path = f"documents.{index}"
        vectors = {}
        for name, value in document.vectors.items():
            vector = _check_vector(name, value, known, declared, f"{path}.vectors.{name}")
            if isinstance(vector, Problem):
                problems.append(vector)
            else:
                vectors[name] = vector
        problems += _check_fields(document, path)
        checked.append(StoredDocument(document.document_id, document.fields, vectors))
    if problems:
        # Imported here: reading documents never pays for pydantic.
        from core.models.base import summarize

        raise InvalidRequestError(summarize(problems), problems)
    return checked, known


def _check_ids(documents: Sequence[StoredDocument]) -> list[Problem]:
    problems = []
    first: dict[str, int] = {}
    for index, document in enumerate(documents):
        path, document_id = f"documents.{index}.document_id", document.document_id
        fault = find_id_fault(document_id)
        if fault:
            problems.append(Problem(path, fault))
        elif document_id in first:
            message = f"documents {first[document_id]} and {index} have the same id {document_id!r}"
            problems.append(Problem(path, message))
        else:
            first[document_id] = index
    return problems


def find_id_fault(document_id: object) -> str | None:
    """Return what keeps `document_id` from being one, None if nothing does."""
    if not isinstance(document_id, str) or not document_id:
        return "expected a non-empty string"
    try:
        size = len(document_id.encode())
    except UnicodeEncodeError:
        return "not valid Unicode"
    return f"longer than {MAX_ID_BYTES} bytes" if size > MAX_ID_BYTES else None


def _check_vector(
    name: str, value: object, known: dict[str, VectorSpec], declared: bool, path: str
) -> NDArray[Any] | Problem:
    if name in known:
        return parse_vector(value, known[name], path)
    if declared:
        message = f"unknown vector {name!r}; the collection has {', '.join(known) or 'none'}"
        return Problem(path, message, "unknown_vector", tuple(known))
    fault = _find_name_fault(name) or (
        f"more than {MAX_VECTOR_NAMES} named vectors" if len(known) >= MAX_VECTOR_NAMES else None
    )
    if fault:
        return Problem(path, fault, "vector_error")
    spec = infer_spec(name, value)
    if spec is None or spec.dimension > MAX_DIMENSION:
        message = f"vector {name!r}: expected a list of 1 to {MAX_DIMENSION} numbers"
        return Problem(path, message, "vector_error")
    vector = parse_vector(value, spec, path)
    # A faulty vector declares nothing, or its dimension would accuse the sound ones after it.
    if not isinstance(vector, Problem):
        known[name] = spec
    return vector


def _find_name_fault(name: object) -> str | None:
    return find_id_fault(name) and "a vector's name is a non-empty string of at most 512 bytes"


def _check_fields(document: StoredDocument, path: str) -> list[Problem]:
    try:
        dump_json(document.fields, what="fields")
    except InvalidRequestError as error:
        return [Problem(path, error.message)]
    return []

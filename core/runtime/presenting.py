"""Rows as the documents that leave: whole, with vectors and presigned URLs where asked for."""

from collections.abc import Sequence

import numpy as np

from core.delivery import Presigner
from core.rows.row import Row
from core.runtime.environment import Environment
from core.runtime.reading import read_vectors, whole_fields
from core.types import JsonObject


def present_rows(
    environment: Environment,
    rows: Sequence[Row],
    *,
    presigner: Presigner | None = None,
    return_vectors: bool = False,
) -> list[JsonObject]:
    """Return the rows' documents. No vector leaves unless `return_vectors` adds it, under its
    name; a Hamming vector leaves as hexadecimal text."""
    documents: list[JsonObject] = []
    vectors = _vectors(environment, rows) if return_vectors else {}
    for position, row in enumerate(rows):
        document = whole_fields(environment, row)
        document |= vectors.get(position, {})
        documents.append(document if presigner is None else presigner.add_urls(document))
    return documents


def _vectors(environment: Environment, rows: Sequence[Row]) -> dict[int, JsonObject]:
    """Return the vectors of the rows that stand for stored documents, by position."""
    return {
        position: {
            name: vector.tobytes().hex() if vector.dtype == np.uint8 else vector.tolist()
            for name, vector in of_row.items()
        }
        for positions, found in read_vectors(environment, rows, None)
        for position, of_row in zip(positions, found, strict=True)
    }

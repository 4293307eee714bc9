"""Rows as the documents that leave: whole, with vectors and presigned URLs where asked for."""

from collections.abc import Sequence

import numpy as np

from core.delivery import Presigner
from core.rows.row import Row
from core.runtime.context import hydrate_row
from core.runtime.environment import Environment
from core.storage.snapshot import Ref
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
    for row in rows:
        document: JsonObject = dict(hydrate_row(environment, row).fields)
        if return_vectors and row.source is not None:
            document |= _vectors(environment, row)
        documents.append(document if presigner is None else presigner.add_urls(document))
    return documents


def _vectors(environment: Environment, row: Row) -> JsonObject:
    if row.source is None:
        return {}
    snapshot = environment.pinned(row.source.collection_id)
    found = snapshot.vectors(Ref(row.source.part, row.source.row))
    return {
        name: vector.tobytes().hex() if vector.dtype == np.uint8 else vector.tolist()
        for name, vector in found.items()
    }

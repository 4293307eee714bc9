"""Segments: an immutable piece of a collection, written once and searched where it lies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import Float32, Int32, UInt8
from core.errors import CorruptBlobError
from core.json_bytes import dump_json
from core.ports.vectors import Codes, VectorBlock
from core.search.columns import Column
from core.storage.column_cache import ColumnCache
from core.storage.container import ContainerReader, Encoded, encode_container, join_bytes
from core.storage.id_table import IdTable, encode_id
from core.storage.payloads import Payloads
from core.storage.segment_columns import (
    StoredColumns,
    build_columns,
    columns_from_sections,
    columns_to_sections,
)
from core.types import JsonObject, Metric, VectorSpec

FORMAT: Final = 1
# Fewer rows are compared with the originals as fast as codes could be scanned.
MIN_CODED_ROWS: Final = 1024

EncodeCodes = Callable[[Float32 | UInt8, Metric], Codes | None]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is written: its id, its JSON fields, and its vectors by name.

    A vector is (dimension,) float32, or (dimension / 8,) uint8 for Hamming.
    """

    document_id: str
    fields: JsonObject
    vectors: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentVectors:
    """The vectors of one name. `rows[i]` is the segment row of the document that vector i is of,
    ascending; documents without such a vector are not in it."""

    block: VectorBlock
    rows: Int32

    def place_of(self, row: int) -> int | None:
        """Return which vector is of the document in this row, None if it has none."""
        place = int(np.searchsorted(self.rows, row))
        return place if place < len(self.rows) and self.rows[place] == row else None


@dataclass(frozen=True, slots=True)
class SegmentContents:
    """What is written to one segment: ids in ascending UTF-8 order, payloads beside them."""

    ids: Sequence[bytes]
    payloads: Sequence[bytes]
    columns: StoredColumns
    vectors: Mapping[str, SegmentVectors]
    deletes: Sequence[bytes]


class Segment:
    """One decoded segment. Arrays are read-only views into the blob; safe for several threads.

    `deletes` are ids deleted from *earlier* segments; `size` is the blob's, in bytes.
    """

    __slots__ = (
        "__weakref__",
        "_columns",
        "_payloads",
        "count",
        "deletes",
        "digest",
        "ids",
        "size",
        "stored_columns",
        "vectors",
    )

    def __init__(
        self, digest: str, size: int, sections: Mapping[str, NDArray[Any]], meta: JsonObject
    ) -> None:
        self.digest: Final = digest
        self.size: Final = size
        self.ids: Final = IdTable.from_sections("ids", sections)
        self.deletes: Final = IdTable.from_sections("deletes", sections)
        self.count: Final = len(self.ids)
        self.vectors: Final[Mapping[str, SegmentVectors]] = {
            entry["name"]: _open_vectors(entry, f"vectors.{index}", sections)
            for index, entry in enumerate(meta["vectors"])
        }
        self._payloads = Payloads(sections["payloads.text"], sections["payloads.offsets"])
        self.stored_columns: Final = columns_from_sections(sections)
        self._columns = ColumnCache(self._payloads, self.stored_columns)

    def payload(self, row: int) -> JsonObject:
        """Return the fields of the document in `row` as a fresh dict."""
        return self._payloads.parse(row)

    def payload_bytes(self, row: int) -> bytes:
        """Return the fields of the document in `row` as the stored JSON."""
        return self._payloads.read_bytes(row)

    def column(self, path: str) -> Column:
        """Return the column of any dot path: a stored one, or built now and kept for a while.

        The id is a field like any other, though no payload holds it.
        """
        if path == "document_id":
            return self._columns.build(path, self._id_column)
        return self._columns.get(path)

    def _id_column(self) -> Column:
        return Column(tuple(self.ids), np.arange(self.count, dtype=np.int32))

    def derived_column(self, name: str, make: Callable[[], Column]) -> Column:
        """Return a column that is no field's, made when first asked and kept for a while.

        `make` must not ask for a column itself: they are built one at a time.
        """
        return self._columns.build((name,), make)  # a tuple is no path that somebody may ask for

    def held_column(self, path: str) -> Column | None:
        """Return a column that costs nothing: stored with the segment, or built before."""
        return self._columns.held(path)


def encode_segment(
    documents: Iterable[StoredDocument],
    specs: Mapping[str, VectorSpec],
    deletes: Iterable[str] = (),
    *,
    encode: EncodeCodes | None = None,
) -> Encoded:
    """Return the segment of documents (distinct ids, any order) and of ids deleted before them.

    `specs` names every vector that a document has, each of the right shape. `encode` makes the
    int8 codes. Raises `InvalidRequestError` for fields that JSON cannot hold.
    """
    # Code points sort as their UTF-8 does.
    ordered = sorted(documents, key=lambda document: document.document_id)
    contents = SegmentContents(
        ids=[encode_id(document.document_id) for document in ordered],
        payloads=[
            dump_json(document.fields, what=f"document {document.document_id!r}")
            for document in ordered
        ],
        columns=build_columns([document.fields for document in ordered]),
        vectors=_gather_vectors(ordered, specs),
        deletes=sorted({encode_id(one) for one in deletes}),
    )
    return encode_contents(contents, encode=encode)


def _gather_vectors(
    documents: Sequence[StoredDocument], specs: Mapping[str, VectorSpec]
) -> dict[str, SegmentVectors]:
    gathered: dict[str, SegmentVectors] = {}
    for name, spec in specs.items():
        rows = [row for row, document in enumerate(documents) if name in document.vectors]
        if rows:
            originals = np.stack([documents[row].vectors[name] for row in rows])
            block = VectorBlock(spec.metric, spec.dimension, originals)
            gathered[name] = SegmentVectors(block, np.array(rows, np.int32))
    return gathered


def encode_contents(contents: SegmentContents, *, encode: EncodeCodes | None = None) -> Encoded:
    """Return the blob of `contents`; blocks without codes get them if they are large enough."""
    text, offsets = join_bytes(contents.payloads)
    sections: dict[str, NDArray[Any]] = {
        **IdTable.build(contents.ids).to_sections("ids"),
        **IdTable.build(contents.deletes).to_sections("deletes"),
        "payloads.text": text,
        "payloads.offsets": offsets,
        **columns_to_sections(contents.columns),
    }
    described: list[JsonObject] = []
    for index, (name, vectors) in enumerate(contents.vectors.items()):
        block = vectors.block
        codes = block.codes
        if codes is None and len(block.originals) >= MIN_CODED_ROWS:
            codes = (encode or make_codes)(block.originals, block.metric)
        sections |= _vectors_to_sections(f"vectors.{index}", vectors, codes)
        described.append(
            {
                "name": name,
                "dimension": block.dimension,
                "metric": block.metric,
                "codes": codes is not None,
            }
        )
    return encode_container({"format": FORMAT, "vectors": described}, sections)


def make_codes(originals: Float32 | UInt8, metric: Metric) -> Codes | None:
    """Return the int8 codes of a block, None where the search has none to use."""
    from core.search.codes import encode

    return encode(originals, metric)


def _vectors_to_sections(
    prefix: str, vectors: SegmentVectors, codes: Codes | None
) -> dict[str, NDArray[Any]]:
    sections: dict[str, NDArray[Any]] = {
        f"{prefix}.originals": vectors.block.originals,
        f"{prefix}.rows": vectors.rows,
    }
    if codes is not None:
        sections[f"{prefix}.values"] = codes.values
        sections[f"{prefix}.scales"] = codes.scales
        sections[f"{prefix}.residuals"] = codes.residuals
        sections[f"{prefix}.norms"] = codes.norms
    return sections


def decode_segment(data: memoryview, digest: str, reader: ContainerReader | None = None) -> Segment:
    """Return the segment in `data`, every byte of it checked against `digest`.

    `reader` is of this digest and may have checked the data's beginning already. Raises
    `CorruptBlobError` for truncated, altered or foreign bytes.
    """
    container = (reader or ContainerReader(digest)).open(data)
    if container.meta.get("format") != FORMAT:
        raise CorruptBlobError(
            f"segment has format {container.meta.get('format')}, this version reads {FORMAT}"
        )
    try:
        return Segment(digest, len(data), container.sections, container.meta)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptBlobError(f"segment is malformed: {error!r}") from error


def _open_vectors(
    entry: JsonObject, prefix: str, sections: Mapping[str, NDArray[Any]]
) -> SegmentVectors:
    codes = None
    if entry["codes"]:
        parts = ("values", "scales", "residuals", "norms")
        codes = Codes(*(sections[f"{prefix}.{part}"] for part in parts))
    originals = sections[f"{prefix}.originals"]
    block = VectorBlock(entry["metric"], entry["dimension"], originals, codes)
    return SegmentVectors(block, sections[f"{prefix}.rows"])

"""The manifest: the one small record that says which segments are a collection's present state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from core.types import JsonObject, VectorSpec

# A writer whose answer was lost finds itself here, however many others wrote since.
RECENT_WRITES: Final = 64
# The engine whose vectors lie in the segments themselves.
EMBEDDED: Final = "embedded"


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment: where it lies and the digest that vouches for it. `size` is in bytes."""

    segment_id: str
    key: str
    digest: str
    size: int
    count: int
    deletes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a collection: `segments` from oldest to newest, later ones win by id.

    `image` is the segment that merging made out of everything before it, always the first.
    `incarnation` tells a collection from an earlier one of the same id. `declared` says that
    vectors under other names than those of `specs` are refused. `engine` says who keeps the
    vectors; unless it is "embedded" they are not in the segments, and `filterable` are the fields
    that the engine may filter by.
    """

    incarnation: str
    specs: Mapping[str, VectorSpec]
    declared: bool
    segments: tuple[SegmentEntry, ...] = ()
    image: str | None = None
    recent: tuple[str, ...] = ()
    version: int = 0
    engine: str = EMBEDDED
    filterable: tuple[str, ...] = ()

    def add(self, entry: SegmentEntry, specs: Mapping[str, VectorSpec]) -> Self:
        """Return the manifest after one more write."""
        recent = (*self.recent, entry.segment_id)[-RECENT_WRITES:]
        return replace(self, specs=specs, segments=(*self.segments, entry), recent=recent)

    def swap(self, merged: Sequence[SegmentEntry], result: SegmentEntry | None) -> Self | None:
        """Return the manifest with `result` in the place of `merged`.

        None if they no longer stand there side by side: someone else has merged them.
        """
        ids = [entry.segment_id for entry in self.segments]
        wanted = [entry.segment_id for entry in merged]
        start = ids.index(wanted[0]) if wanted[0] in ids else len(ids)
        if ids[start : start + len(wanted)] != wanted:
            return None
        middle = () if result is None else (result,)
        after = self.segments[start + len(wanted) :]
        image = self.image
        if start == 0:
            image = None if result is None else result.segment_id
        return replace(self, segments=(*self.segments[:start], *middle, *after), image=image)

    def to_json(self) -> JsonObject:
        """Return the record's value."""
        outside = {"engine": self.engine, "filterable": list(self.filterable)}
        return {
            **({} if self.engine == EMBEDDED else outside),
            "incarnation": self.incarnation,
            "declared": self.declared,
            "specs": {
                name: {"dimension": spec.dimension, "metric": spec.metric}
                for name, spec in self.specs.items()
            },
            "segments": [
                {
                    "id": entry.segment_id,
                    "key": entry.key,
                    "digest": entry.digest,
                    "size": entry.size,
                    "count": entry.count,
                    "deletes": entry.deletes,
                }
                for entry in self.segments
            ],
            "image": self.image,
            "recent": list(self.recent),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], version: int) -> Self:
        """Return the manifest in a record of that version."""
        return cls(
            incarnation=value["incarnation"],
            specs={
                name: VectorSpec(name, spec["dimension"], spec["metric"])
                for name, spec in value["specs"].items()
            },
            declared=value["declared"],
            segments=tuple(
                SegmentEntry(
                    entry["id"],
                    entry["key"],
                    entry["digest"],
                    entry["size"],
                    entry["count"],
                    entry["deletes"],
                )
                for entry in value["segments"]
            ),
            image=value["image"],
            recent=tuple(value["recent"]),
            version=version,
            engine=value.get("engine", EMBEDDED),
            filterable=tuple(value.get("filterable", ())),
        )

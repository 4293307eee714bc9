"""moment_group: the seconds of a recording that matched, merged into moments of one parent each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from core.rows.grouping import by_score, gather
from core.rows.row import Row, Rows
from core.rows.values import canonical, finite_or_none, labels, value_at
from core.stage import Stage, StageContext
from core.traits import ALL, NO_FIELDS, FieldSet, StageParams, Traits, fields_of
from core.types import JsonObject, JsonValue

_CHUNKS: Final = "query_chunks"
_PARENT: Final = "source_object_id"
# Where a document says what it is a part of, where it has no field of the default's name: what its
# writer named, the file that it is a chunk of, and what that file came from.
_KNOWN_PARENTS: Final = (
    f"_internal.lineage.{_PARENT}",
    "_internal.chunk.of",
    "_internal.lineage.root_object_id",
)
# Whole numbers up to here are exact as floats; no recording is longer.
_LAST_MS: Final = 2.0**53
Time = int | float


class MomentGroupParams(StageParams):
    """Gather the matching chunks of one recording, and merge their times into moments.

    Times are milliseconds. Those of `query_chunks` are of the query: which seconds of the file
    that was asked about matched. For the seconds of the stored recordings name their own field:
    `reference_start_ms`, or `_internal.place.start_ms` of chunks.
    """

    parent_field: str = Field(
        _PARENT,
        min_length=1,
        description="Dot path of what chunks of one recording have alike. Documents without the "
        "default field go by the file that they are chunks of; without any other field, each by "
        "itself, with a warning.",
    )
    time_field: str = Field(
        _CHUNKS,
        min_length=1,
        description="Where the times are: a list of objects with start_ms, end_ms and perhaps "
        "score, or the dot path of a start; the end is then at the same path, with end for its "
        "last start. Without an end it is an instant.",
    )
    merge_tolerance_ms: int = Field(
        2_000,
        ge=0,
        le=60_000,
        description="Times of one parent at most so far apart are one moment; 0: only those that "
        "overlap or touch.",
    )
    max_moments_per_parent: int = Field(
        10, ge=1, le=100, description="Moments kept of each parent, the best first."
    )
    score_strategy: Literal["max", "avg", "sum"] = Field(
        "max",
        description="A moment's score, of the scores of its times: their own, else the document's.",
    )
    min_score: float | None = Field(
        None, ge=0, le=1, description="Moments that score less, or not at all, are left out."
    )
    output_mode: Literal["annotated", "moments_only"] = Field(
        "annotated",
        description="annotated: the best document of each parent, with its `moments`; "
        "moments_only: one row per moment, best first, `moment_{parent}_{start}_{end}`.",
    )

    @property
    def end_field(self) -> str | None:
        """The path of the ends, None where `time_field` is a list of times."""
        for start, end in (("start", "end"), ("Start", "End")):
            before, found, after = self.time_field.rpartition(start)
            if found:
                return before + end + after
        return None


@dataclass(frozen=True, slots=True)
class Interval:
    """One time at which a document matched."""

    start: Time
    end: Time
    score: float | None
    document_id: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Times that are one, with the score of all of them."""

    intervals: tuple[Interval, ...]
    score: float | None

    @property
    def start(self) -> Time:
        """When the first one starts."""
        return self.intervals[0].start

    @property
    def end(self) -> Time:
        """When the last one ends."""
        return max(interval.end for interval in self.intervals)

    @property
    def rank(self) -> tuple[bool, float, Time]:
        """The best first, those without a score last, ties by time."""
        return self.score is None, -(self.score or 0.0), self.start

    def to_json(self) -> JsonObject:
        """Return it as a document carries it."""
        return {
            "start_ms": self.start,
            "end_ms": self.end,
            "duration_ms": self.end - self.start,
            "score": self.score,
            "match_count": len(self.intervals),
            "document_ids": list(dict.fromkeys(each.document_id for each in self.intervals)),
        }


@dataclass(frozen=True, slots=True)
class Parent:
    """What some documents are parts of, None if they do not say, and all its moments."""

    name: JsonValue
    rows: list[Row]
    moments: list[Moment]
    timeless: int  # documents without any time


async def run(params: MomentGroupParams, rows: Rows, ctx: StageContext) -> Rows:
    """Return parents with their moments, or moments, as `output_mode` says.

    Parents stand in the order in which they first come. Stage metadata: `{total_parents,
    total_moments, documents_without_times}`, the moments counted before `max_moments_per_parent`.
    """
    # In a thread: thousands of documents may have hundreds of times each.
    parents = await ctx.compute(lambda: _parents(params, rows))
    timeless = sum(parent.timeless for parent in parents)
    ctx.report.metadata.update(
        total_parents=len(parents),
        total_moments=sum(len(parent.moments) for parent in parents),
        documents_without_times=timeless,
    )
    if timeless:
        ctx.report.warnings.append(_warning(params, timeless, len(rows)))
    nameless = sum(parent.name is None for parent in parents)
    if nameless and params.parent_field != _PARENT:
        ctx.report.warnings.append(
            f"moment_group: {nameless} of {len(rows)} documents have no {params.parent_field}: "
            "each of them is a parent by itself"
        )
    if params.output_mode == "moments_only":
        return _moment_rows(params, parents)
    most = params.max_moments_per_parent
    return [
        by_score(parent.rows)[0].with_fields(
            {"moments": [moment.to_json() for moment in parent.moments[:most]]}
        )
        for parent in parents
    ]


def merge_intervals(intervals: Sequence[Interval], tolerance: int) -> list[list[Interval]]:
    """Return the times that belong together, each list by start: gaps of up to `tolerance` ms
    are none."""
    merged: list[list[Interval]] = []
    end: Time = 0
    for interval in sorted(intervals, key=lambda each: (each.start, each.end)):
        if merged and interval.start <= end + tolerance:
            merged[-1].append(interval)
            end = max(end, interval.end)
        else:
            merged.append([interval])
            end = interval.end
    return merged


def _parents(params: MomentGroupParams, rows: Rows) -> list[Parent]:
    names = [_parent_of(params, row) for row in rows]
    groups = gather(range(len(rows)), lambda n: _key(names[n], rows[n]))
    parents = []
    for members in groups.values():
        times = [list(_intervals(params, rows[n])) for n in members]
        moments = _moments(params, [one for found in times for one in found])
        timeless = sum(not found for found in times)
        parents.append(Parent(names[members[0]], [rows[n] for n in members], moments, timeless))
    return parents


def _moments(params: MomentGroupParams, intervals: Sequence[Interval]) -> list[Moment]:
    found = [
        Moment(tuple(together), _score_of(params, together))
        for together in merge_intervals(intervals, params.merge_tolerance_ms)
    ]
    least = params.min_score
    if least is not None:
        found = [one for one in found if one.score is not None and one.score >= least]
    return sorted(found, key=lambda moment: moment.rank)


def _score_of(params: MomentGroupParams, intervals: Sequence[Interval]) -> float | None:
    scores = [each.score for each in intervals if each.score is not None]
    if not scores:
        return None
    if params.score_strategy == "max":
        return max(scores)
    total = sum(scores)
    return finite_or_none(total if params.score_strategy == "sum" else total / len(scores))


def _intervals(params: MomentGroupParams, row: Row) -> Iterator[Interval]:
    """Yield the times of a document; what is no time is left out."""
    value = value_at(row.fields, params.time_field)
    own = finite_or_none(row.fields.get("score"))
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict):
                score = finite_or_none(entry.get("score"))
                span = _span(entry.get("start_ms"), entry.get("end_ms"))
                if span is not None:
                    yield Interval(*span, own if score is None else score, row.document_id)
        return
    if params.end_field is not None:
        span = _span(value, value_at(row.fields, params.end_field))
        if span is not None:
            yield Interval(*span, own, row.document_id)


def _span(start: JsonValue, end: JsonValue) -> tuple[Time, Time] | None:
    first = finite_or_none(start)
    last = first if end is None else finite_or_none(end)
    if first is None or last is None or not -_LAST_MS <= first <= last <= _LAST_MS:
        return None
    return _whole(first), _whole(last)


def _whole(time: float) -> Time:
    return int(time) if time.is_integer() else time


def _parent_of(params: MomentGroupParams, row: Row) -> JsonValue:
    """Return what a document is a part of, None if it does not say."""
    paths = (_PARENT, *_KNOWN_PARENTS) if params.parent_field == _PARENT else (params.parent_field,)
    values = (value_at(row.fields, path) for path in paths)
    return next((value for value in values if value is not None), None)


def _key(parent: JsonValue, row: Row) -> tuple[str, JsonValue]:
    # The same name in another collection is another file.
    place = row.fields.get("collection_id")
    name = canonical(parent) if parent is not None else f"only {row.document_id}"
    return name, place if isinstance(place, str) else None


def _warning(params: MomentGroupParams, timeless: int, total: int) -> str:
    said = f"moment_group: {timeless} of {total} documents have no times at {params.time_field}"
    if params.time_field == _CHUNKS:
        return (
            f"{said}: only searches for a recording by its content have them. Name the field "
            "where the documents have their own start as time_field, such as "
            "_internal.place.start_ms"
        )
    if params.end_field is None:
        return f"{said}: that is no list of times, and the path of a start has start in it"
    return f"{said}: they are in no moment"


def _moment_rows(params: MomentGroupParams, parents: Sequence[Parent]) -> list[Row]:
    """Return one row per moment, best first; ties by the order of the parents, then by time."""
    names = [
        parent.rows[0].document_id if parent.name is None else parent.name for parent in parents
    ]
    distinct = {canonical(name): name for name in names}
    texts = dict(zip(distinct, labels(list(distinct.values())), strict=True))
    found = [
        (moment.rank[:2], n, moment.start, moment)
        for n, parent in enumerate(parents)
        for moment in parent.moments[: params.max_moments_per_parent]
    ]
    made = []
    for _, n, _, moment in sorted(found, key=lambda each: each[:3]):
        name = f"moment_{texts[canonical(names[n])]}_{moment.start}_{moment.end}"
        fields = {"document_id": name, "parent": names[n], **moment.to_json()}
        place = parents[n].rows[0].fields.get("collection_id")
        made.append(Row(name, fields if place is None else {**fields, "collection_id": place}))
    return made


def _reads(params: MomentGroupParams) -> FieldSet:
    known = _KNOWN_PARENTS if params.parent_field == _PARENT else ()
    return fields_of(params.parent_field, params.time_field, params.end_field, "score", *known)


STAGE: Stage[MomentGroupParams] = Stage(
    stage_id="moment_group",
    category="reduce",
    description="Merge the times at which chunks of a recording matched into moments.",
    icon="film",
    params=MomentGroupParams,
    run=run,
    traits=Traits(
        reads=_reads,
        writes=lambda params: frozenset({"moments"}) if params.output_mode == "annotated" else ALL,
        cost=2,
        sets=lambda params: (
            frozenset({"moments"}) if params.output_mode == "annotated" else NO_FIELDS
        ),
        replaces=lambda params: params.output_mode == "moments_only",
    ),
)

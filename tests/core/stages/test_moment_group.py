"""moment_group: which times are one moment, of whom, and that silence is said to be silence."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.rows.row import Row
from core.stages.moment_group import STAGE, MomentGroupParams
from core.types import JsonObject
from tests.core.stages.running import ids_of, run_stage

quick = settings(derandomize=True, deadline=None, max_examples=300)


def chunk(start: Any, end: Any, score: Any = None) -> JsonObject:
    return {"start_ms": start, "end_ms": end, **({} if score is None else {"score": score})}


def grouped(
    payloads: Sequence[JsonObject], **parameters: Any
) -> tuple[list[Row], list[str], JsonObject]:
    rows, report = run_stage("moment_group", parameters, payloads)
    return rows, report.warnings, report.metadata


def spans(row: Row) -> list[tuple[Any, Any]]:
    return [(moment["start_ms"], moment["end_ms"]) for moment in row.fields["moments"]]


# What the reference implementation of a moment is given: a document, and one of its times.
times = st.tuples(
    st.integers(0, 40),
    st.integers(0, 12),
    st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
)
documents = st.fixed_dictionaries(
    {"film": st.sampled_from(["a", "b"]), "query_chunks": st.lists(times, max_size=5)},
    optional={"score": st.sampled_from([0.1, 0.9])},
)


def plainly(documents: Sequence[Any], film: str, parameters: Any) -> list[JsonObject]:
    """Return a film's moments as anybody would find them: join whatever is near, until nothing
    changes."""
    pieces = [
        {(start, start + length, own if own is not None else doc.get("score"), f"d{n}", k)}
        for n, doc in enumerate(documents)
        if doc["film"] == film
        for k, (start, length, own) in enumerate(doc["query_chunks"])
    ]

    def near(left: set[Any], right: set[Any]) -> bool:
        tolerance = parameters["merge_tolerance_ms"]
        return any(max(a[0], b[0]) - min(a[1], b[1]) <= tolerance for a in left for b in right)

    while True:
        found = next(((a, b) for a in pieces for b in pieces if a is not b and near(a, b)), None)
        if found is None:
            break
        pieces = [p for p in pieces if p is not found[0] and p is not found[1]]
        pieces.append(found[0] | found[1])
    moments = []
    for piece in pieces:
        scores = [one[2] for one in piece if one[2] is not None]
        score = None
        if scores:
            mean = sum(scores) / len(scores)
            score = {"max": max(scores), "sum": sum(scores), "avg": mean}[
                parameters["score_strategy"]
            ]
        least = parameters.get("min_score")
        if least is not None and (score is None or score < least):
            continue
        start, end = min(one[0] for one in piece), max(one[1] for one in piece)
        moments.append(
            {
                "start_ms": start,
                "end_ms": end,
                "duration_ms": end - start,
                "score": None if score is None else pytest.approx(score),
                "match_count": len(piece),
                "document_ids": {one[3] for one in piece},
                "rank": (score is None, -(score or 0), start),
            }
        )
    moments.sort(key=lambda moment: moment["rank"])
    kept = moments[: parameters["max_moments_per_parent"]]
    return [{k: v for k, v in moment.items() if k != "rank"} for moment in kept]


@given(
    found=st.lists(documents, max_size=5),
    parameters=st.fixed_dictionaries(
        {
            "merge_tolerance_ms": st.integers(0, 4),
            "score_strategy": st.sampled_from(["max", "avg", "sum"]),
            "max_moments_per_parent": st.integers(1, 4),
        },
        optional={"min_score": st.sampled_from([0.2, 0.5])},
    ),
)
@quick
def test_moments_are_what_a_plain_implementation_finds(found: Any, parameters: Any) -> None:
    payloads = [
        {**doc, "query_chunks": [chunk(s, s + n, x) for s, n, x in doc["query_chunks"]]}
        for doc in found
    ]
    rows, _, _ = grouped(payloads, parent_field="film", **parameters)
    films = list(dict.fromkeys(doc["film"] for doc in found))
    assert [row.fields["film"] for row in rows] == films
    expected = []
    for row, film in zip(rows, films, strict=True):
        plain = plainly(found, film, parameters)
        moments = [{**m, "document_ids": set(m["document_ids"])} for m in row.fields["moments"]]
        assert moments == plain
        expected += [(film, moment) for moment in plain]
    alone, _, _ = grouped(payloads, parent_field="film", output_mode="moments_only", **parameters)
    assert len(alone) == len(expected)
    assert len(set(ids_of(alone))) == len(alone)
    for row in alone:
        shown = {k: v for k, v in row.fields.items() if k not in ("document_id", "parent")}
        shown["document_ids"] = set(shown["document_ids"])
        assert (row.fields["parent"], shown) in expected
    scores = [row.fields["score"] for row in alone]
    numbers = [score for score in scores if score is not None]
    assert scores == [*sorted(numbers, reverse=True), *[None] * (len(scores) - len(numbers))]


def test_tolerance_zero_joins_only_what_overlaps_or_touches() -> None:
    one = {"query_chunks": [chunk(0, 10), chunk(10, 20), chunk(21, 30), chunk(25, 26)]}
    [row], _, _ = grouped([one], merge_tolerance_ms=0)
    assert spans(row) == [(0, 20), (21, 30)]
    [row], _, _ = grouped([one], merge_tolerance_ms=1)
    assert spans(row) == [(0, 30)]


def test_defaults_are_the_references() -> None:
    params = MomentGroupParams()
    assert params.model_dump() == {
        "parent_field": "source_object_id",
        "time_field": "query_chunks",
        "merge_tolerance_ms": 2000,
        "max_moments_per_parent": 10,
        "score_strategy": "max",
        "min_score": None,
        "output_mode": "annotated",
    }
    assert STAGE.category == "reduce"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merge_tolerance_ms", -1),
        ("merge_tolerance_ms", 60_001),
        ("max_moments_per_parent", 0),
        ("max_moments_per_parent", 101),
        ("score_strategy", "median"),
        ("min_score", 1.1),
        ("output_mode", "all"),
        ("parent_field", ""),
    ],
)
def test_bounds(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        MomentGroupParams.model_validate({name: value})


def part(of: str | None = None, collection: str = "col_a", **internal: Any) -> JsonObject:
    chunk_of = {} if of is None else {"chunk": {"of": of, "index": 0}}
    return {
        "collection_id": collection,
        "_internal": {**chunk_of, **internal},
        "query_chunks": [chunk(0, 1)],
    }


def test_by_default_documents_go_by_their_file() -> None:
    rows, warnings, metadata = grouped(
        [
            part("tape", lineage={"root_object_id": "reel"}),
            part("tape", lineage={"root_object_id": "reel"}),
            part("other", lineage={"root_object_id": "reel"}),
            part(lineage={"root_object_id": "reel"}),
            part("third", lineage={"source_object_id": "named"}),
            {**part("fourth"), "source_object_id": "named"},
            part(),
            part(),
            part("tape", "col_b"),
        ]
    )
    assert ids_of(rows) == ["d0", "d2", "d3", "d4", "d6", "d7", "d8"]
    assert not warnings
    assert metadata["total_parents"] == 7


def test_documents_without_the_named_field_are_not_taken_for_one() -> None:
    rows, warnings, _ = grouped([part(), part(), {**part(), "film": "a"}], parent_field="film")
    assert ids_of(rows) == ["d0", "d1", "d2"]
    assert warnings == [
        "moment_group: 2 of 3 documents have no film: each of them is a parent by itself"
    ]


def test_the_best_document_stands_for_its_parent() -> None:
    payloads = [
        {"film": "a", "score": 0.2, "query_chunks": [chunk(0, 1)]},
        {"film": "b", "score": 0.5, "query_chunks": [chunk(0, 1)]},
        {"film": "a", "score": 0.9, "query_chunks": [chunk(9000, 9001)]},
    ]
    rows, _, _ = grouped(payloads, parent_field="film")
    assert ids_of(rows) == ["d2", "d1"]
    assert spans(rows[0]) == [(9000, 9001), (0, 1)]
    assert rows[0].fields["moments"][0] == {
        "start_ms": 9000,
        "end_ms": 9001,
        "duration_ms": 1,
        "score": 0.9,
        "match_count": 1,
        "document_ids": ["d2"],
    }


def test_documents_without_times_have_empty_moments_and_that_is_said() -> None:
    rows, warnings, metadata = grouped([{"score": 0.5}, {"score": 0.4, "query_chunks": []}])
    assert [row.fields["moments"] for row in rows] == [[], []]
    assert metadata == {"total_parents": 2, "total_moments": 0, "documents_without_times": 2}
    [warning] = warnings
    assert "2 of 2 documents have no times at query_chunks" in warning
    assert "time_field" in warning
    assert grouped([{}], output_mode="moments_only")[:2] == (
        [],
        [warning.replace("2 of 2", "1 of 1")],
    )
    [said] = grouped([{"length": 9}], time_field="length")[1]
    assert "no list of times" in said
    assert not grouped([], output_mode="moments_only")[1]


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("_internal.place.start_ms", {"_internal": {"place": {"start_ms": 5, "end_ms": 9}}}),
        ("start", {"start": 5, "end": 9.0}),
        ("cut.startMs", {"cut": {"startMs": 5, "endMs": 9}}),
        ("videoStart", {"videoStart": 5, "videoEnd": 9}),
        ("restart.start.ms", {"restart": {"start": {"ms": 5}, "end": {"ms": 9}}}),
        ("scenes.all", {"scenes": {"all": [chunk(5, 9)]}}),
        ("list_from_start", {"list_from_start": [chunk(5, 9)]}),
    ],
)
def test_times_stand_where_the_field_says(path: str, payload: JsonObject) -> None:
    [row], warnings, _ = grouped([{**payload, "score": 0.5}], time_field=path)
    assert (spans(row), row.fields["moments"][0]["score"]) == ([(5, 9)], 0.5)
    assert not warnings


@pytest.mark.parametrize(
    "bad",
    [
        *(chunk("5", 9), chunk(9, 5), chunk(True, 9), chunk(float("nan"), 9), {}, 7),
        *(chunk(10**400, 9), chunk(5, 1e300), chunk(-1e300, 9), chunk(2**63, 2**63)),
    ],
)
def test_what_is_no_time_is_left_out(bad: Any) -> None:
    [row], warnings, _ = grouped([{"query_chunks": [bad]}])
    assert row.fields["moments"] == [] and warnings
    [row], warnings, _ = grouped([{"query_chunks": [bad, chunk(3, None, "high")]}])
    assert spans(row) == [(3, 3)] and not warnings
    assert row.fields["moments"][0]["score"] is None


@pytest.mark.parametrize("score_strategy", ["max", "avg", "sum"])
def test_absurd_times_and_scores_can_still_be_answered(score_strategy: str) -> None:
    """One document must not keep the others' answer from being written."""
    absurd = [chunk(2**53, 2**53, 1e308), chunk(2**53, 2**53, 1e308), chunk(0, 1e300, 1.0)]
    [row], _, _ = grouped([{"query_chunks": absurd}], score_strategy=score_strategy)
    written = orjson.loads(orjson.dumps(dict(row.fields)))
    assert written["moments"][0]["score"] == (1e308 if score_strategy == "max" else None)


def test_names_of_moments_are_their_own() -> None:
    both = [{"film": 1, **part()}, {"film": "1", **part()}]
    rows, _, _ = grouped(both, parent_field="film", output_mode="moments_only")
    assert len(set(ids_of(rows))) == 2
    [row], _, _ = grouped([part("tape")], output_mode="moments_only")
    assert (row.document_id, row.source) == ("moment_tape_0_1", None)
    assert row.fields["collection_id"] == "col_a"

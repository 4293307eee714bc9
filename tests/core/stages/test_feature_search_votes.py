"""feature_search over recordings: one document for each file, with the seconds that met."""

from typing import Any

import numpy as np
import pytest

from core.errors import InvalidRequestError
from core.hits import QueryChunk
from core.ports.media import VoteRule
from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import run_stage

RULE = VoteRule(min_score=0.9, tolerance_ms=100, spans=False, min_ms=3000, min_votes=2, chunks=33)


def direction(angle: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def recording(root: str, *angles: float) -> list[Doc]:
    return [
        Doc(
            f"{root}#{n}",
            {
                "path": root,
                "_internal": {
                    "lineage": {"root_object_id": root},
                    "place": {"start_ms": 1000 * n, "end_ms": 1000 * n + 1000},
                },
            },
            {"v": direction(angle)},
        )
        for n, angle in enumerate(angles)
    ]


STORED = [*recording("song", 0, 1, 2, 3, 4, 5), *recording("other", 3, 0, 5, 1)]


def context(*angles: float, **more: Any) -> FakeContext:
    chunks = [
        QueryChunk(direction(angle), 1000 * n, 1000 * n + 1000) for n, angle in enumerate(angles)
    ]
    return FakeContext({"c": STORED}, extractor=lambda _: chunks, vote_rules={"v": RULE}, **more)


def search(ctx: FakeContext, **more: Any) -> list[Row]:
    query = {"input_mode": "content", "value": "https://x.test/f"}
    parameters = {"searches": [{"feature_uri": "v", "query": query, **more}]}
    return run_stage("feature_search", parameters, [], context=ctx)[0]


def test_a_file_comes_once_with_the_seconds_that_met() -> None:
    ctx = context(2, 3, 4)
    first, second = search(ctx)
    assert first.fields["path"] == "song"
    moment = {
        "query_start_ms": 0,
        "query_end_ms": 3000,
        "reference_start_ms": 2000,
        "reference_end_ms": 5000,
        "chunks_matched": 3,
        "chunks_searched": 3,
        "aligned": True,
        "query_variant": "original",
    }
    assert {name: first.fields[name] for name in moment} == moment
    leg = first.fields["features"]["v"]
    assert (leg["score"], leg["similarity"]) == (1.0, pytest.approx(1.0))
    assert leg["reference_start_ms"] == 2000
    assert [c["reference_start_ms"] for c in first.fields["query_chunks"]] == [2000, 3000, 4000]
    assert (second.fields["path"], second.fields["aligned"]) == ("other", False)
    assert "similarity" not in second.fields["features"]["v"]
    assert ctx.extractions[0][2] == RULE.chunks


def test_what_too_few_chunks_agree_on_is_no_evidence_of_a_match() -> None:
    ctx = context(3, 2.5, 5.5)
    rows = search(ctx)
    assert all(row.fields["aligned"] is False for row in rows)
    assert ctx.report.evidence is not None
    assert ctx.report.evidence.best_score is not None
    assert ctx.report.evidence.best_score < RULE.min_score
    assert ctx.report.incomplete == []


def test_a_query_too_short_to_vote_is_no_clean_no_match() -> None:
    ctx = context(2)
    assert [row.fields["aligned"] for row in search(ctx)] == [False]
    assert [entry["code"] for entry in ctx.report.incomplete] == ["too_short"]


def test_candidates_that_top_k_kept_back_are_told() -> None:
    ctx = context(3, 2.5, 5.5)
    search(ctx, top_k=1)
    assert [entry["code"] for entry in ctx.report.incomplete] == ["top_k_reached"]


def test_another_aggregation_is_done_if_asked_for() -> None:
    rows = search(context(2, 3, 4), query_preprocessing={"aggregation": "max"})
    assert "aligned" not in rows[0].fields
    best = next(row.fields for row in rows if row.document_id == "song#3")
    assert (best["query_start_ms"], best["query_end_ms"]) == (1000, 2000)
    assert (best["reference_start_ms"], best["reference_end_ms"]) == (3000, 4000)
    assert (best["chunks_matched"], best["chunks_searched"]) == (3, 3)
    assert len(rows) == len(STORED)


def test_votes_of_what_has_no_offsets_are_refused() -> None:
    ctx = FakeContext({"c": STORED}, extractor=lambda _: [])
    with pytest.raises(InvalidRequestError, match="votes are counted for recordings"):
        search(ctx, query_preprocessing={"aggregation": "votes"})

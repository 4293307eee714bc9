"""What a search writes on a document: an entry for each leg, also of legs that share a name."""

from typing import Any

import pytest

from core.hits import Hit
from core.models.base import parse_model
from core.models.queries import SearchEntry
from core.rows.fusion import Fused
from core.rows.row import Source
from core.stages._hit_fields import ballots_of, hit_fields
from core.stages._leg import Leg

KEY, OTHER = ("a", "col"), ("b", "col")


def leg(feature: str, *ranked: tuple[tuple[str, str], float], **more: Any) -> Leg:
    query = {"input_mode": "vector", "value": [1.0]}
    entry = parse_model(SearchEntry, {"feature_uri": feature, "query": query})
    hits = {key: Hit(key[0], Source("col", 0, 0), score) for key, score in ranked}
    return Leg(entry, list(ranked), hits, **more)


def test_one_leg_needs_no_rank() -> None:
    fields = hit_fields(Fused(KEY, 0.9, 0), ballots_of({0: leg("v", (KEY, 0.9))}))
    assert fields["features"] == {"v": {"score": 0.9}}
    assert (fields["document_id"], fields["collection_id"], fields["score"]) == ("a", "col", 0.9)
    assert "query_chunks" not in fields


def test_each_leg_that_found_a_document_is_told() -> None:
    legs = {
        0: leg("v", (OTHER, 0.9), (KEY, 0.5), moments={KEY: {"chunks_matched": 2}}),
        2: leg("w", (KEY, 0.7), places={KEY: [{"start_ms": 0}]}),
    }
    fields = hit_fields(Fused(KEY, 0.03, 1), ballots_of(legs))
    assert fields["features"] == {
        "v": {"score": 0.5, "rank": 2, "chunks_matched": 2},
        "w": {"score": 0.7, "rank": 1},
    }
    assert fields["feature_uri"] == "w"
    assert fields["query_chunks"] == [{"start_ms": 0}]
    assert "chunks_matched" not in fields  # of the leading leg only
    assert set(hit_fields(Fused(OTHER, 0.02, 0), ballots_of(legs))["features"]) == {"v"}


@pytest.mark.parametrize("swapped", [False, True])
def test_legs_of_one_name_keep_each_its_own(swapped: bool) -> None:
    """A document is as near as the nearest says, whichever leg puts it higher."""
    high = leg("v", (KEY, 0.4), similarity={KEY: 0.6})
    near = leg("v", (KEY, 0.1), similarity={KEY: 0.95})
    legs = {0: near, 3: high} if swapped else {0: high, 3: near}
    entry = hit_fields(Fused(KEY, 0.5, 0), ballots_of(legs))["features"]["v"]
    assert (entry["score"], entry["similarity"]) == (0.4, 0.95)
    assert {one["search"]: one["score"] for one in entry["searches"]} == (
        {0: 0.1, 3: 0.4} if swapped else {0: 0.4, 3: 0.1}
    )
    assert {one["similarity"] for one in entry["searches"]} == {0.6, 0.95}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_score_that_is_a_similarity_counts_beside_one_that_is_none(swapped: bool) -> None:
    """One search by a vector, one by chunks whose lists are fused, of one feature."""
    plain, fused = leg("v", (KEY, 0.95)), leg("v", (KEY, 0.02), similarity={KEY: 0.7})
    legs = {0: fused, 1: plain} if swapped else {0: plain, 1: fused}
    assert hit_fields(Fused(KEY, 0.5, 0), ballots_of(legs))["features"]["v"]["similarity"] == 0.95
    share = leg("v", (KEY, 1.0), moments={KEY: {"aligned": False}})
    legs = {0: fused, 1: share} if swapped else {0: share, 1: fused}
    assert hit_fields(Fused(KEY, 0.5, 0), ballots_of(legs))["features"]["v"]["similarity"] == 0.7

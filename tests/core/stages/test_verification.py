"""Pictures within reach compared by their places: which, how many, and what is said of the rest."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.arrays import UInt8
from core.hits import QueryChunk, Verification
from core.ports.keypoints import VerifyRule, pack_keypoints
from core.rows.row import Row
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import run_stage

RULE = VerifyRule(
    stored="p",
    least_score=1 - 90 / 256,
    found_from=1 - 60 / 256,
    most_score=1 - 32 / 256,
    checked=3,
    inliers=8,
)
QUERY: UInt8 = np.zeros(32, np.uint8)


def away(bits: int) -> UInt8:
    """Return a hash so many bits from the query's."""
    return np.packbits(np.arange(256) < bits)


def places(seed: int, count: int = 40) -> UInt8:
    """Return a picture's places."""
    rng = np.random.default_rng(seed)
    where = np.column_stack([rng.integers(0, 256, (count, 2)), np.ones(count)]).astype(np.uint8)
    descriptors = rng.integers(0, 256, (count, 16), np.uint8)
    return pack_keypoints(descriptors, where, size=(640, 480))


def search(
    docs: list[Doc], keypoints: UInt8 | None, rule: VerifyRule = RULE
) -> tuple[list[Row], FakeContext]:
    ctx = FakeContext(
        {"c": docs},
        extractor=lambda _: [QueryChunk(QUERY, keypoints=keypoints)],
        verify_rules={"v": rule},
        metrics={"v": "hamming", "p": "hamming"},
    )
    query = {"input_mode": "content", "value": "https://x.test/f"}
    search: dict[str, Any] = {"feature_uri": "v", "query": query}
    return run_stage("feature_search", {"searches": [search]}, [], context=ctx)[0], ctx


def account(ctx: FakeContext) -> Verification:
    assert ctx.report.evidence is not None
    found = ctx.report.evidence.features["v"].verification
    assert found is not None
    return found


@pytest.mark.parametrize(("strangers", "left"), [(3, 0), (4, 1), (5, 1)])
def test_pictures_that_were_left_are_told(strangers: int, left: int) -> None:
    """One more than is compared is asked for: of those farther away nothing is known."""
    docs = [Doc(f"d{n}", {}, {"v": away(70 + n), "p": places(n)}) for n in range(strangers)]
    _, ctx = search(docs, places(99))
    assert account(ctx).checked == 3
    codes = [entry["code"] for entry in ctx.report.incomplete]
    assert codes == ["candidates_left"] * left


def test_pictures_out_of_reach_are_not_left() -> None:
    docs = [Doc(f"d{n}", {}, {"v": away(91 + n), "p": places(n)}) for n in range(6)]
    _, ctx = search(docs, places(99))
    assert (account(ctx).checked, ctx.report.incomplete) == (0, [])


def test_the_same_places_are_found_among_all_that_are_compared() -> None:
    docs = [Doc(f"d{n}", {}, {"v": away(80 - n), "p": places(n)}) for n in range(3)]
    rows, ctx = search(docs, places(0))
    assert (rows[0].document_id, account(ctx).verified) == ("d0", 1)
    assert rows[0].fields["inliers"] >= 30
    assert rows[0].fields["score"] > RULE.found_from


def test_the_farthest_of_many_is_compared_as_the_nearest_is() -> None:
    docs = [Doc(f"d{n}", {}, {"v": away(61 + n // 5), "p": places(n)}) for n in range(120)]
    rows, ctx = search(docs, places(119), replace(RULE, checked=120))
    assert (rows[0].document_id, ctx.report.incomplete) == ("d119", [])
    assert (account(ctx).checked, account(ctx).verified) == (120, 1)


@pytest.mark.parametrize("keypoints", [None, places(0, 0)])
def test_a_query_without_places_has_compared_none(keypoints: UInt8 | None) -> None:
    _, ctx = search([Doc("d", {}, {"v": away(70), "p": places(0)})], keypoints)
    assert account(ctx) == Verification(0, 0, 0, 0, 0)

"""feature_search: modes, fusion, cuts, grouping, facets, and what it says when rows are lacking."""

import asyncio
from typing import Any

from core.stage import Rows
from core.stages.feature_search import STAGE
from tests.core.stages.context import Doc, FakeContext


def run(ctx: FakeContext, rows: Rows = (), **parameters: Any) -> Rows:
    """Run the stage on validated parameters."""
    return asyncio.run(STAGE.run(STAGE.params.model_validate(parameters), rows, ctx))


def vector(value: Any, uri: str = "v", **more: Any) -> dict[str, Any]:
    """Return a search entry of one vector."""
    return {"feature_uri": uri, "query": {"input_mode": "vector", "value": value}, **more}


def ids(rows: Rows) -> list[str]:
    return [row.document_id for row in rows]


def test_nearest_first() -> None:
    docs = [Doc("a", {"n": 1}, {"v": [1, 0]}), Doc("b", {}, {"v": [0, 1]})]
    ctx = FakeContext({"c": docs})
    rows = run(ctx, searches=[vector([0.0, 1.0])])
    assert ids(rows) == ["b", "a"]
    assert rows[0].fields["score"] == 1.0
    assert rows[0].fields["features"] == {"v": {"score": 1.0}}
    assert rows[0].fields["feature_uri"] == "v"

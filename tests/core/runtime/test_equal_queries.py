"""Which queries of a batch are one query: exactly those whose JSON is the same."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models.execution import BatchQuery
from core.runtime.equal_queries import group_equal
from core.types import JsonValue

_scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, -0.0, "", "1", "a"])
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
_queries = st.builds(
    BatchQuery,
    inputs=st.dictionaries(st.sampled_from("xy"), _values, max_size=2),
    filters=st.none() | st.dictionaries(st.sampled_from("ab"), _scalars, max_size=1),
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(_queries, min_size=1, max_size=8))
def test_queries_are_together_exactly_if_their_json_is_the_same(queries: list[BatchQuery]) -> None:
    groups = group_equal(queries, dedupe=True)

    expected: dict[bytes, list[int]] = {}
    for index, query in enumerate(queries):
        text = orjson.dumps([query.inputs, query.filters], option=orjson.OPT_SORT_KEYS)
        expected.setdefault(text, []).append(index)
    assert groups == list(expected.values())


def test_vectors_that_differ_in_their_last_number_only_are_two_queries() -> None:
    vector: list[JsonValue] = [0.25] * 512
    queries = [
        BatchQuery(inputs={"v": vector}),
        BatchQuery(inputs={"v": [*vector[:-1], 0.5]}),
        BatchQuery(inputs={"v": list(vector)}),
    ]
    assert group_equal(queries, dedupe=True) == [[0, 2], [1]]
    assert group_equal(queries, dedupe=False) == [[0], [1], [2]]


def test_the_order_of_keys_makes_no_other_query() -> None:
    one = BatchQuery(inputs={"a": {"x": 1, "y": [2]}, "b": 3}, filters={"f": 1, "g": 2})
    same = BatchQuery(inputs={"b": 3, "a": {"y": [2], "x": 1}}, filters={"g": 2, "f": 1})
    assert group_equal([one, same], dedupe=True) == [[0, 1]]

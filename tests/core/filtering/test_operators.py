"""What every operator means, value by value, undefined cases included."""

from typing import Any

import pytest

from core.errors import FilterError
from core.filtering.conditions import Condition, conjoin, parse_filter
from core.filtering.operators import matches
from core.filtering.predicates import OPERATORS

DOCUMENT: dict[str, Any] = {
    "brand": "Acme",
    "tags": ["Red", "blue"],
    "price": 5,
    "ratio": 2.5,
    "one": 1.0,
    "flag": True,
    "null": None,
    "empty": [],
    "blank": "",
    "nested": [[1, 2], [3]],
    "object": {"a": 1, "b": [True]},
    "at": "2024-05-01T10:00:00Z",
    "day": "2024-05-01",
    "text": "The dogs were drinking from O'Brien's well-known fountains, happily.",
    "shots": [{"label": "cat", "t": 1}, {"label": "dog"}, {"other": 1}],
    "place": {"lat": 52.52, "lon": 13.405},
    "route": [[2.35, 48.85], [13.4, 52.5]],
    "number": "5",
}


def holds(field: str, operator: str, value: Any, **flags: Any) -> bool:
    tree = parse_filter({"field": field, "operator": operator, "value": value, **flags})
    assert tree is not None
    return matches(tree, DOCUMENT)


CIRCLE = {"center": [13.405, 52.52], "radius": 1_000}


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("brand", "eq", "Acme", True),
        ("brand", "eq", "acme", False),  # identifiers: equality is exact unless asked otherwise
        ("brand", "ne", "acme", True),
        ("tags", "eq", "blue", True),  # any element
        ("tags", "ne", "blue", False),  # none may equal
        ("tags", "ne", "green", True),
        ("tags", "eq", ["Red", "blue"], True),
        ("tags", "eq", ["blue", "Red"], False),
        ("nested", "eq", 3, True),
        ("nested", "eq", [1, 2], True),
        ("object", "eq", {"b": [True], "a": 1}, True),
        ("object", "eq", {"b": [1], "a": 1}, False),
        ("flag", "eq", True, True),
        ("flag", "eq", 1, False),
        ("one", "eq", 1, True),
        ("one", "eq", True, False),
        ("price", "eq", 5.0, True),
        ("price", "eq", "5", False),
        ("number", "eq", 5, False),
        ("number", "gt", 4, False),
        ("flag", "gte", 0, False),
        ("null", "eq", None, True),
        ("null", "ne", None, False),
        ("null", "gt", 0, False),
        ("empty", "eq", "x", False),
        ("empty", "ne", "x", True),
        ("empty", "nin", ["x"], True),
        ("empty", "eq", [], True),
        ("price", "gt", 4.9, True),
        ("price", "gt", 5, False),
        ("price", "gte", 5, True),
        ("price", "lt", 5, False),
        ("price", "lte", 5, True),
        ("price", "gt", "4", False),
        ("price", "lt", 10**400, True),
        ("brand", "gt", "Abc", True),
        ("brand", "lt", "a", True),  # by code point
        ("at", "gt", "2024-05-01T11:59:00+02:00", True),  # 09:59 UTC, though "10" < "11"
        ("at", "lte", "2024-05-01T12:00:00+02:00", True),
        ("at", "gte", "2024-05-01", True),
        ("day", "lt", "2024-05-01T00:00:01", True),
        ("brand", "gt", "2024-05-01", False),  # not a time
        ("at", "eq", "2024-05-01T12:00:00+02:00", False),  # equality is of the text
        ("at", "gt", "2024-05", True),  # not a whole date: compared as text
        ("price", "in", [1, 5], True),
        ("price", "in", ["5", True], False),
        ("price", "in", [], False),
        ("price", "nin", [], True),
        ("flag", "in", [1], False),
        ("one", "in", [1], True),
        ("tags", "in", ["x", "blue"], True),
        ("tags", "nin", ["x", "blue"], False),
        ("object", "in", [{"a": 1, "b": [True]}], True),
        ("nested", "in", [[3]], True),
        ("null", "in", [None], True),
        ("brand", "contains", "CM", True),
        ("brand", "contains", "", True),
        ("tags", "contains", "LU", True),
        ("price", "contains", "5", False),
        ("object", "contains", "a", False),
        ("brand", "starts_with", "ac", True),
        ("brand", "starts_with", "cm", False),
        ("brand", "ends_with", "ME", True),
        ("brand", "text", "cme", True),
        ("brand", "regex", "^a.m", True),
        ("brand", "regex", "^c", False),
        ("tags", "regex", "^bl", True),
        ("price", "regex", "5", False),
        ("brand", "exists", True, True),
        ("null", "exists", True, True),
        ("null", "exists", False, False),
        ("null", "is_null", True, True),
        ("null", "is_null", False, False),
        ("empty", "is_null", True, False),
        ("text", "phrase", "dogs WERE", True),
        ("text", "phrase", "dogs drinking", False),
        ("text", "phrase", "known", True),
        ("text", "phrase", "know", False),
        ("text", "phrase", "from, O'Brien's!", True),
        ("text", "words", "drink dog", True),
        ("text", "words", "drinks fountain", True),
        ("text", "words", "cat", False),
        ("text", "words", "drin", False),
        ("shots.label", "eq", "dog", True),
        ("shots.label", "ne", "dog", False),
        ("shots.0.label", "eq", "dog", False),
        ("place", "geo_radius", CIRCLE, True),
        ("route", "geo_radius", {"center": {"lat": 48.85, "lon": 2.35}, "radius": 1}, True),
        ("brand", "geo_radius", CIRCLE, False),
        ("place", "geo_bounding_box", {"top_left": [13, 53], "bottom_right": [14, 52]}, True),
        ("place", "geo_polygon", {"exterior": {"points": [[13, 52], [14, 52], [13.5, 53]]}}, True),
    ],
)
def test_operator(field: str, operator: str, value: Any, expected: bool) -> None:
    assert holds(field, operator, value) is expected


OPERANDS: dict[str, Any] = {
    "in": ["a"],
    "nin": ["a"],
    "exists": True,
    "is_null": True,
    "geo_radius": CIRCLE,
    "geo_bounding_box": {"top_left": [0, 1], "bottom_right": [1, 0]},
    "geo_polygon": {"exterior": {"points": [[0, 0], [1, 0], [0, 1]]}},
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_missing_field_matches_only_four(operator: str) -> None:
    for field in ("gone", "brand.gone", "empty.gone", "shots.gone"):
        assert holds(field, operator, OPERANDS.get(operator, "a")) is (
            operator in ("ne", "nin", "is_null")
        )
        assert holds(field, "exists", False)
        assert not holds(field, "is_null", False)


def test_case_sensitivity() -> None:
    assert not holds("brand", "contains", "CM", case_sensitive=True)
    assert not holds("brand", "regex", "^a", case_sensitive=True)
    assert not holds("text", "phrase", "DOGS were", case_sensitive=True)
    assert holds("brand", "eq", "aCME", case_sensitive=False)
    assert not holds("brand", "ne", "aCME", case_sensitive=False)
    assert holds("tags", "in", ["RED"], case_sensitive=False)
    assert not holds("price", "in", ["RED"], case_sensitive=False)
    assert holds("price", "eq", 5, case_sensitive=False)


def test_case_folding_is_unicode() -> None:
    tree = parse_filter({"field": "s", "operator": "contains", "value": "STRASSE"})
    assert tree is not None
    assert matches(tree, {"s": "Hauptstraße"})
    tree = parse_filter({"field": "s", "operator": "regex", "value": "É"})
    assert tree is not None
    assert matches(tree, {"s": "é"})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"AND": [{"brand": "Acme"}, {"price": 5}]}, True),
        ({"AND": [{"brand": "Acme"}, {"price": 6}]}, False),
        ({"OR": [{"brand": "x"}, {"price": 5}]}, True),
        ({"OR": [{"brand": "x"}, {"price": 6}]}, False),
        ({"NOT": {"brand": "x"}}, True),
        ({"NOT": [{"brand": "x"}, {"price": 5}]}, False),  # none of them
        ({"NOT": [{"brand": "x"}, {"price": 6}]}, True),
        ({"NOT": {"AND": [{"brand": "Acme"}, {"price": 6}]}}, True),
        ({"NOT": {"brand": "Acme", "price": 6}}, True),  # the object is one condition
        ({"brand": "Acme", "NOT": [{"price": 6}], "OR": [{"price": 5}]}, True),
        ([{"brand": "Acme"}, {"price": 6}], False),
    ],
)
def test_logic(raw: Any, expected: bool) -> None:
    tree = parse_filter(raw)
    assert tree is not None
    assert matches(tree, DOCUMENT) is expected


def test_a_regex_bomb_is_harmless() -> None:
    """An engine that backtracks would not come back from these."""
    document = {"s": "a" * 200_000}
    for pattern in ("(a*)*b", "(a|aa)+$b", "(.*){1,32}[bc]", "(a?){400}a{400}b"):
        tree = parse_filter({"field": "s", "operator": "regex", "value": pattern})
        assert tree is not None
        assert not matches(tree, document)


def text_holds(text: str, operator: str, value: str) -> bool:
    tree = parse_filter({"field": "s", "operator": operator, "value": value})
    assert tree is not None
    return matches(tree, {"s": text})


def test_words_and_runs_are_found_in_linear_time() -> None:
    # Word by word, this is 200,000 × 50,000 comparisons: it would not end.
    text = "a " * 200_000
    assert not text_holds(text, "phrase", "a " * 50_000 + "b")
    assert text_holds(text + "b", "phrase", "a " * 50_000 + "b")


def test_what_is_too_long_for_a_word_is_compared_as_written() -> None:
    long = "ing" * 40_000
    assert text_holds(f"X{long} dogs", "words", f"dog x{long}")
    assert not text_holds(f"x{long}", "words", f"x{long}s")
    assert text_holds("drinking", "words", "drink")


def test_lone_surrogates_do_not_break_a_regex() -> None:
    tree = parse_filter({"field": "s", "operator": "regex", "value": "b"})
    assert tree is not None
    assert matches(tree, {"s": "\ud800b"})


def test_extreme_times_compare() -> None:
    tree = parse_filter({"field": "t", "operator": "lt", "value": "0001-01-01T00:00:00+14:00"})
    assert tree is not None
    assert not matches(tree, {"t": "9999-12-31T23:59:59-14:00"})
    assert not matches(tree, {"t": "2024-13-45"})


def test_a_templated_condition_is_never_evaluated() -> None:
    tree = Condition("brand", "eq", "{{INPUT.brand}}", templated=True)
    with pytest.raises(FilterError):
        matches(tree, DOCUMENT)


def test_equal_looking_operands_do_not_share_a_predicate() -> None:
    for value, expected in ((True, True), (1, False), (1.0, False)):
        assert holds("flag", "eq", value) is expected


def test_conjoin_merges() -> None:
    a, b = parse_filter({"x": 1}), parse_filter({"AND": [{"x": 1}, {"y": 2}]})
    merged = conjoin([a, None, b, a])
    assert merged == parse_filter([{"x": 1}, {"y": 2}])
    assert conjoin([]) is None
    assert conjoin([None, a]) is a

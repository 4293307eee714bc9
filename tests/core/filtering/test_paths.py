"""Dot paths: literal dotted keys, lists, and copies that never touch the original."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StageError
from core.filtering.paths import MISSING, assign, remove, resolve

DOCUMENT: dict[str, Any] = {
    "a": {"b": {"c": 1}, "b.c": 2, "null": None},
    "x.y": {"z": 3},
    "list": [{"p": 1}, {"q": 2}, {"p": [3, 4]}],
    "grid": [[1, 2], [3]],
    "x": {"y": {"z": 9, "w": 5}},
    "": {"": 0},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.c", 2),  # the literal key "b.c" wins over b → c
        ("x.y.z", 3),  # the literal key "x.y" wins, and there is no way back to x → y
        ("x.y.w", MISSING),
        ("a.null", None),
        ("a.nope", MISSING),
        ("a.b", {"c": 1}),
        ("list.p", [1, [3, 4]]),
        ("list.2.p", [3, 4]),
        ("list.2.p.1", 4),
        ("list.9", MISSING),
        ("list.nope", MISSING),
        ("grid.0", [1, 2]),
        ("grid.1.0", 3),
        ("a.b.c.d", MISSING),
        (".", 0),
        ("list.²", MISSING),
        ("list." + "9" * 5_000, MISSING),
    ],
)
def test_resolve(path: str, value: Any) -> None:
    assert resolve(DOCUMENT, path) == value


def test_missing_is_false_and_is_not_null() -> None:
    assert not MISSING
    assert MISSING is not None
    assert copy.deepcopy(MISSING) is MISSING


def test_assign_copies_what_it_changes_and_shares_the_rest() -> None:
    before = copy.deepcopy(DOCUMENT)
    changed = assign(DOCUMENT, "list.0.p", 7)
    assert changed["list"][0] == {"p": 7}
    assert changed["list"][1] is DOCUMENT["list"][1]
    assert changed["a"] is DOCUMENT["a"]
    assert assign(DOCUMENT, "a.b.c", 8)["a"] == {"b": {"c": 1}, "b.c": 8, "null": None}
    assert assign(DOCUMENT, "new.deep.er", 1)["new"] == {"deep": {"er": 1}}
    assert assign(DOCUMENT, "a.null.x", 1)["a"]["null"] == {"x": 1}
    assert assign({"l": [{}, {"k": 1}]}, "l.k", 2) == {"l": [{"k": 2}, {"k": 2}]}
    assert before == DOCUMENT


@pytest.mark.parametrize("path", ["a.b.c.d", "list.9", "list.p.q", "grid.0.x"])
def test_assign_never_overwrites_in_silence(path: str) -> None:
    with pytest.raises(StageError):
        assign(DOCUMENT, path, 1)


def test_remove() -> None:
    before = copy.deepcopy(DOCUMENT)
    assert remove(DOCUMENT, "a.null")["a"] == {"b": {"c": 1}, "b.c": 2}
    assert remove(DOCUMENT, "list.0")["list"] == DOCUMENT["list"][1:]
    assert remove(DOCUMENT, "list.p")["list"] == [{}, {"q": 2}, {}]
    assert remove(DOCUMENT, "list.2.p.0")["list"][2] == {"p": [4]}
    assert remove(DOCUMENT, "nope.x") == DOCUMENT
    assert remove(DOCUMENT, "list.9.x") == DOCUMENT
    assert before == DOCUMENT


KEYS = st.sampled_from(["a", "b", "a.b", "0", "1"])
VALUES = st.recursive(
    st.integers(0, 2), lambda v: st.lists(v, max_size=2) | st.dictionaries(KEYS, v, max_size=3)
)
PATHS = st.lists(KEYS, min_size=1, max_size=4).map(".".join)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.dictionaries(KEYS, VALUES, max_size=3), PATHS)
def test_what_is_assigned_is_resolved(document: dict[str, Any], path: str) -> None:
    before = copy.deepcopy(document)
    try:
        changed = assign(document, path, "new")
    except StageError:
        changed = None
    if changed is not None and not _through_list(document, path):
        assert resolve(changed, path) == "new"
    remove(document, path)
    assert document == before


def _through_list(document: Any, path: str) -> bool:
    """Whether the path maps over a list, whose every element is set, or which is empty."""
    segments = path.split(".")
    return any(
        isinstance(resolve(document, ".".join(segments[:n])), list) for n in range(1, len(segments))
    )

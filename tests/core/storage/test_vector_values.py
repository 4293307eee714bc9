"""Vectors as users write them: what is accepted, and what each fault is called."""

from typing import Any

import numpy as np
import pytest

from core.errors import InvalidRequestError, Problem
from core.storage.vector_values import check_specs, infer_spec, parse_vector
from core.types import VectorSpec

FLOATS = VectorSpec("clip", 3, "cosine")
BITS = VectorSpec("pdq", 16, "hamming")


@pytest.mark.parametrize(
    "value",
    [[1, 2.5, -3], (1, 2.5, -3), np.array([1, 2.5, -3]), np.array([1, 2.5, -3], np.float32)],
)
def test_floats_become_float32(value: object) -> None:
    vector = parse_vector(value, FLOATS, "p")
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.float32
    assert vector.tolist() == [1.0, 2.5, -3.0]


@pytest.mark.parametrize(
    "value",
    [
        [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        "a001",
        "A001",
        b"\xa0\x01",
        memoryview(b"\xa0\x01"),
        np.array([0xA0, 1], np.uint8),
    ],
)
def test_bits_become_bytes_most_significant_first(value: object) -> None:
    vector = parse_vector(value, BITS, "p")
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.uint8
    assert vector.tolist() == [0xA0, 1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "expected 3 dimensions, got 2"),
        ([1, 2, 3, 4], "expected 3 dimensions, got 4"),
        ([], "expected 3 dimensions, got 0"),
        ([1, float("nan"), 3], "element 1 is NaN"),
        ([1, 2, float("-inf")], "element 2 is infinite"),
        ([1e39, 2, 3], "too large"),
        ([10**400, 2, 3], "too large"),
        (np.array([1e39, 0, 0]), "too large"),
        (["1", 2, 3], "list of numbers"),
        ([True, 2, 3], "list of numbers"),
        ([None, 2, 3], "list of numbers"),
        ([[1, 2, 3]], "list of numbers"),
        ("123", "list of numbers"),
        ({"indices": [0], "values": [1]}, "list of numbers"),
        (None, "list of numbers"),
        (np.ones((1, 3)), "shape"),
        (np.array(["a", "b", "c"]), "expected numbers"),
    ],
)
def test_faulty_floats_are_told_by_name(value: object, said: str) -> None:
    problem = parse_vector(value, FLOATS, "documents.3.vectors.clip")
    assert isinstance(problem, Problem)
    assert problem.path == "documents.3.vectors.clip"
    assert "'clip'" in problem.message
    assert said in problem.message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([0, 1] * 4, "expected 16 bits, got 8"),
        ([0, 1], "multiple of 8"),
        ([0, 2] * 8, "0 and 1"),
        ([0.0, 1.0] * 8, "0 and 1"),
        ([True, False] * 8, "0 and 1"),
        ("a0", "expected 16 bits, got 8"),
        ("a0 1", "hex"),
        ("a00", "hex"),
        ("zz01", "hex"),
        ("٠٠01", "hex"),
        (b"\0", "expected 16 bits, got 8"),
        (5, "hex"),
        (np.zeros(2, np.float32), "uint8"),
        (np.zeros(3, np.uint8), "expected 16 bits, got 24"),
    ],
)
def test_faulty_bits_are_told_by_name(value: object, said: str) -> None:
    problem = parse_vector(value, BITS, "p")
    assert isinstance(problem, Problem)
    assert said in problem.message


@pytest.mark.parametrize("spec", [FLOATS, BITS])
def test_a_parsed_vector_is_not_the_callers_own(spec: VectorSpec) -> None:
    own: Any = np.ones(3, np.float32) if spec is FLOATS else np.ones(2, np.uint8)
    vector = parse_vector(own, spec, "p")
    own[:] = 9
    assert isinstance(vector, np.ndarray)
    assert 9 not in vector


def test_extreme_float32_values_are_kept() -> None:
    largest = float(np.finfo(np.float32).max)
    vector = parse_vector([largest, -largest, 1e-45], FLOATS, "p")
    assert isinstance(vector, np.ndarray)
    assert np.isfinite(vector).all()
    assert vector[2] > 0


def test_the_first_vector_of_a_name_declares_it() -> None:
    assert infer_spec("v", [1, 2, 3]) == VectorSpec("v", 3, "cosine")
    assert infer_spec("v", np.zeros(32, np.uint8)) == VectorSpec("v", 256, "hamming")
    nothing: list[object] = [[], "a001", None, 5, {"indices": [1]}]
    for value in nothing:
        assert infer_spec("v", value) is None


def test_every_fault_of_declared_vectors_is_told_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_specs(
            [
                VectorSpec("", 3, "dot"),
                VectorSpec("a", 0, "cosine"),
                VectorSpec("a", 3, "cosine"),
                VectorSpec("b", 12, "hamming"),
                VectorSpec("c", 10**9, "euclidean"),
            ]
        )
    assert [problem.path for problem in caught.value.problems] == [
        "vectors.0.name",
        "vectors.1.dimension",
        "vectors.2.name",
        "vectors.3.dimension",
        "vectors.4.dimension",
    ]

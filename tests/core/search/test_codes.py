"""Codes: what they promise about the vectors they stand for."""

from fractions import Fraction

import numpy as np
import pytest

from core.arrays import Float32
from core.search.codes import MAX_DIMENSION, encode, round_up
from core.types import Metric


def exact_norm_squared(values: list[Fraction]) -> Fraction:
    return sum((value * value for value in values), Fraction(0))


@pytest.mark.parametrize("magnitude", [1e-42, 1e-30, 1.0, 1e25])
def test_residuals_and_norms_are_upper_bounds_in_exact_arithmetic(magnitude: float) -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((40, 24)) * magnitude).astype(np.float32)
    vectors[7] = 0.0
    codes = encode(vectors, "dot")
    assert codes is not None
    for row in range(len(vectors)):
        real = [Fraction(float(x)) for x in vectors[row]]
        scale = Fraction(float(codes.scales[row]))
        left = [x - scale * int(v) for x, v in zip(real, codes.values[row], strict=True)]
        residual, norm = codes.residuals[row], codes.norms[row]
        assert Fraction(float(residual)) ** 2 >= exact_norm_squared(left)
        assert Fraction(float(norm)) ** 2 >= exact_norm_squared(real)
        # And they are no looser than a float32 can be: else the proof would cost too much.
        assert float(norm) <= float(exact_norm_squared(real)) ** 0.5 * (1 + 1e-6) + 1e-44


def test_cosine_codes_are_of_the_unit_vector() -> None:
    vectors = np.array([[3e-20, 4e-20], [0.0, 0.0], [-6e20, 8e20]], np.float32)
    codes = encode(vectors, "cosine")
    assert codes is not None
    assert codes.norms == pytest.approx([1.0, 0.0, 1.0])
    decoded = codes.values * codes.scales[:, None]
    assert decoded == pytest.approx(np.array([[0.6, 0.8], [0, 0], [-0.6, 0.8]]), abs=0.004)
    assert codes.residuals[1] == 0.0


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_codes_are_the_same_whatever_the_chunks(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(4).standard_normal((1000, 12), dtype=np.float32)
    whole = encode(vectors, metric)
    monkeypatch.setattr("core.search.codes._CHUNK_ELEMENTS", 12 * 7)
    parts = encode(vectors, metric)
    assert whole is not None
    assert parts is not None
    for name in ("values", "scales", "residuals", "norms"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_there_are_no_codes_where_they_could_not_be_trusted() -> None:
    def ones(*shape: int) -> Float32:
        return np.ones(shape, np.float32)

    assert encode(np.zeros((3, 4), np.uint8), "hamming") is None
    assert encode(ones(2, 8) * np.float32(3e38), "dot") is None
    assert encode(ones(1, MAX_DIMENSION + 1), "dot") is None
    empty = encode(ones(0, 8), "dot")
    assert empty is not None
    assert empty.values.shape == (0, 8)


def test_rounding_up_never_rounds_down() -> None:
    values = np.array([0.0, 0.1, 1.0, 1.0 + 2.0**-40, 1e-46, 3.3e38])
    rounded = round_up(values)
    assert rounded.dtype == np.float32
    assert (rounded.astype(np.float64) >= values).all()
    assert rounded[2] == 1.0

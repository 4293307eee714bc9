"""Pictures made from a seed: detailed like photographs, each seed its own, same everywhere."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def landscape(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Return an RGB picture of smooth blobs at several scales: PDQ quality well above 50."""
    channels = [_field(seed * 3 + channel, width, height) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1))


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return the image as a file's bytes."""
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def distance(left: NDArray[Any], right: NDArray[Any]) -> int:
    """Return how many bits two packed hashes differ in."""
    return int(np.unpackbits(np.asarray(left) ^ np.asarray(right)).sum())


def _field(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    total = np.zeros((height, width))
    state = seed * 2654435761 + 12345
    for cells in (4, 9, 20):
        grid = np.empty((cells, cells))
        for at in np.ndindex(cells, cells):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            grid[at] = state >> 40
        total += _stretch(grid / 2**24, width, height) * (30 / cells)
    low, high = total.min(), total.max()
    field: NDArray[np.uint8] = np.rint((total - low) * (255 / (high - low))).astype(np.uint8)
    return field


def _stretch(grid: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    cells = grid.shape[0]
    at = np.arange(cells)
    rows = np.array([np.interp(np.linspace(0, cells - 1, width), at, row) for row in grid])
    columns = [np.interp(np.linspace(0, cells - 1, height), at, column) for column in rows.T]
    return np.array(columns).T

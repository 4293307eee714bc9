"""Logos made from a seed: flat shapes on nothing, each seed its own."""

import numpy as np
from PIL import Image, ImageDraw

from tests.core.media.pictures import landscape


def logo(seed: int, side: int = 300) -> Image.Image:
    """Return an RGBA picture of triangles, clear around them."""
    random = np.random.default_rng(seed)
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x = random.integers(side // 30, side - side // 30, 6).tolist()
        red, green, blue = random.integers(0, 255, 3).tolist()
        draw.polygon([(x[0], x[1]), (x[2], x[3]), (x[4], x[5])], fill=(red, green, blue, 255))
    return image


def card(seed: int, side: int, degrees: float, at: tuple[int, int]) -> Image.Image:
    """Return a white page with a logo on it."""
    return _pasted(Image.new("RGB", (800, 600), "white"), seed, side, degrees, at)


def photograph(seed: int, side: int, at: tuple[int, int]) -> Image.Image:
    """Return a photograph with a logo pasted into it."""
    return _pasted(landscape(seed, 800, 600), seed, side, 0, at)


def _pasted(
    ground: Image.Image, seed: int, side: int, degrees: float, at: tuple[int, int]
) -> Image.Image:
    turned = (
        logo(seed)
        .resize((side, side))
        .rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)
    )
    ground.paste(turned, at, turned)
    return ground

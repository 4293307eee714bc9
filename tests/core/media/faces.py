"""Faces drawn from a seed: nobody's, yet a detector of faces takes them for some."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]


def face(seed: int, side: int = 300) -> Image.Image:
    """Return a picture of one face, `side` px wide and high."""
    random = np.random.default_rng(seed)
    high = 1200  # drawn large and made small: edges as in a photograph
    image = Image.new("RGB", (high, high), _colour(random, 90, 230))
    draw = ImageDraw.Draw(image)
    skin = _skin(random)
    shade: Colour = tuple(round(0.6 * part) for part in skin)  # type: ignore[assignment]  # three stay three
    hair = _colour(random, 5, 200)
    half = random.uniform(0.21, 0.3)
    chin = random.uniform(0.84, 0.94)

    def oval(x: float, y: float, width: float, height: float, colour: Colour) -> None:
        edges = (x - width, y - height, x + width, y + height)
        draw.ellipse([edge * high for edge in edges], fill=colour)

    oval(0.5, 0.42, half + random.uniform(0.02, 0.09), 0.38, hair)
    draw.rectangle([0.4 * high, 0.8 * high, 0.6 * high, high], fill=shade)
    oval(0.5, (0.18 + chin) / 2, half, (chin - 0.18) / 2, skin)
    if random.uniform() >= 0.5:
        beard = (0.5 - half, 0.3, 0.5 + half, chin)
        draw.chord([edge * high for edge in beard], 20, 160, fill=hair)
    _eyes(draw, random, high, shade, hair)
    _nose_and_mouth(draw, random, high, skin, shade)
    return image.filter(ImageFilter.GaussianBlur(high / 120)).resize((side, side))


def group(seeds: list[int], side: int = 300) -> Image.Image:
    """Return faces side by side, the n-th in the n-th square of `side` px."""
    page = Image.new("RGB", (side * len(seeds), side), "white")
    for n, seed in enumerate(seeds):
        page.paste(face(seed, side), (n * side, 0))
    return page


def _colour(random: np.random.Generator, low: int, high: int) -> Colour:
    red, green, blue = random.integers(low, high, 3).tolist()
    return red, green, blue


def _skin(random: np.random.Generator) -> Colour:
    red = int(random.integers(90, 240))
    return red, round(red * random.uniform(0.7, 0.86)), round(red * random.uniform(0.5, 0.75))


def _eyes(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, high: int, shade: Colour, hair: Colour
) -> None:
    level = random.uniform(0.42, 0.46)
    apart = random.uniform(0.1, 0.135)
    wide, tall = random.uniform(0.04, 0.06), random.uniform(0.016, 0.032)
    brow, thick = random.uniform(0.06, 0.085), random.uniform(0.006, 0.018)
    iris = _colour(random, 10, 110)
    glasses = random.uniform() < 0.4
    for middle in (0.5 - apart, 0.5 + apart):
        for width, height, colour in (
            (wide + 0.02, 0.043, shade),
            (wide, tall, (235, 235, 235)),
            (tall, tall, iris),
        ):
            box = [middle - width, level - height, middle + width, level + height]
            draw.ellipse([edge * high for edge in box], fill=colour)
        line = [middle - wide - 0.02, level - brow - thick, middle + wide + 0.02]
        draw.rectangle([*(edge * high for edge in line), (level - brow + thick) * high], fill=hair)
        if glasses:
            box = [middle - 0.085, level - 0.055, middle + 0.085, level + 0.06]
            draw.ellipse([edge * high for edge in box], outline=(20, 20, 20), width=high // 70)


def _nose_and_mouth(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, high: int, skin: Colour, shade: Colour
) -> None:
    tip, wide = random.uniform(0.59, 0.65), random.uniform(0.035, 0.065)
    ridge = [(0.49, 0.44), (0.52, 0.44), (0.5 + wide, tip), (0.5 - wide, tip)]
    lit = tuple(round(0.9 * part) for part in skin)
    draw.polygon([(x * high, y * high) for x, y in ridge], fill=lit)
    for left in (0.5 - wide, 0.465 + wide):
        box = [left, tip - 0.02, left + 0.035, tip + 0.012]
        draw.ellipse([edge * high for edge in box], fill=shade)
    level, half = random.uniform(0.7, 0.76), random.uniform(0.06, 0.12)
    thick = random.uniform(0.012, 0.035)
    box = [0.5 - half, level - thick, 0.5 + half, level + thick]
    draw.ellipse([edge * high for edge in box], fill=_colour(random, 60, 190))
    draw.line(
        [(0.5 - half) * high, level * high, (0.5 + half) * high, level * high], (50, 20, 20), 8
    )

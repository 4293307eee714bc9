"""How a logo comes to be in a picture, for measuring `logo.sift`: queries of real logos.

On a card, on a card that lies askew, on a photograph, in another colour, and small; and
photographs without a logo, which must match none.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from handlers.photographs import to_jpeg
from handlers.wheels import RealFile

PAGE: Final = (1000, 650)
_PAPERS: Final = ("#ffffff", "#f7f3e8", "#eef2f6", "#f1f1f1")
_INKS: Final = ("#1b4f9c", "#a81e2d", "#10653a", "#5b2a86", "#d9731a")
WITHOUT: Final = "no logo"


@dataclass(frozen=True, slots=True)
class LogoPicture:
    """A picture of the logo `source`, made in a way; or a photograph without one."""

    way: str
    source: RealFile
    data: bytes = field(repr=False)


def logo_pictures(
    logos: Sequence[RealFile], photographs: Sequence[RealFile]
) -> Iterator[LogoPicture]:
    """Yield every logo in every way, on the photographs in turns; then these as they are."""
    for n, file in enumerate(logos):
        behind = photographs[n % len(photographs)]
        for way in WAYS:
            yield LogoPicture(way, file, picture_of(file, behind, way))
    for file in photographs:
        yield LogoPicture(WITHOUT, file, to_jpeg(opened(file.path, 1280), quality=88))


def picture_of(file: RealFile, behind: RealFile, way: str) -> bytes:
    """Return a JPEG file that shows the logo; equal arguments give an equal one."""
    rng = random.Random(f"{file.name} {way}")  # noqa: S311 - a test picture
    with Image.open(file.path) as image:
        logo = image.convert("RGBA")
    return to_jpeg(WAYS[way](logo, behind.path, rng), quality=82)


def opened(path: Path, side: int) -> Image.Image:
    """Return a photograph, at most `side` px on its longer side."""
    with Image.open(path) as file:
        image = file.convert("RGBA").convert("RGB")
    image.thumbnail((side, side))
    return image


Make = Callable[[Image.Image, Path, random.Random], Image.Image]


def _on_a_card(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    return _card(logo, rng, rng.uniform(0.25, 0.4))


def _in_perspective(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    """Return the card seen from the side on a photograph: corners moved by up to an eighth."""
    card = _card(logo, rng, rng.uniform(0.3, 0.45))
    wide, high = PAGE
    corners = [(0, 0), (wide, 0), (wide, high), (0, high)]
    seen = [
        (
            x + (1 if x == 0 else -1) * rng.uniform(0.02, 0.125) * wide,
            y + (1 if y == 0 else -1) * rng.uniform(0.02, 0.125) * high,
        )
        for x, y in corners
    ]
    shown = card.convert("RGBA").transform(
        PAGE, Image.Transform.PERSPECTIVE, _projection(seen, corners), Image.Resampling.BICUBIC
    )
    page = _covered(behind)
    page.paste(shown, (0, 0), shown)
    return page


def _on_a_photograph(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    return _pasted(_covered(behind), logo, rng, rng.uniform(0.2, 0.35), turn=10)


def _recoloured(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    """Return a card with the logo's shape in one ink, as a letterhead has it."""
    ink = Image.new("RGBA", logo.size, rng.choice(_INKS))
    ink.putalpha(logo.getchannel("A"))
    return _card(ink, rng, rng.uniform(0.25, 0.4))


def _white_on_dark(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    white = Image.new("RGBA", logo.size, "white")
    white.putalpha(logo.getchannel("A"))
    return _pasted(Image.new("RGB", PAGE, rng.choice(_INKS)), white, rng, rng.uniform(0.25, 0.4))


def _small(logo: Image.Image, behind: Path, rng: random.Random) -> Image.Image:
    """Return a card with the logo 80–100 px wide or high, in a corner."""
    return _card(logo, rng, rng.uniform(0.08, 0.1))


WAYS: Final[Mapping[str, Make]] = {
    "on a card": _on_a_card,
    "in perspective": _in_perspective,
    "on a photograph": _on_a_photograph,
    "in one colour": _recoloured,
    "white on dark": _white_on_dark,
    "small": _small,
}


def _card(logo: Image.Image, rng: random.Random, share: float) -> Image.Image:
    """Return a page with lines of text and the logo, its longer side that share of the width."""
    page = Image.new("RGB", PAGE, rng.choice(_PAPERS))
    draw = ImageDraw.Draw(page)
    for n, text in enumerate(("Jane Doe, Sales", "12 Long Street, Springfield", "555-0134")):
        draw.text((520, 470 + 44 * n), text, "#333333", ImageFont.load_default(size=30))
    return _pasted(page, logo, rng, share, room=(0, 0, 1000, 450))


def _pasted(
    page: Image.Image,
    logo: Image.Image,
    rng: random.Random,
    share: float,
    *,
    turn: float = 0,
    room: tuple[int, int, int, int] = (0, 0, *PAGE),
) -> Image.Image:
    longer = share * PAGE[0] / max(logo.size)
    size = max(1, round(longer * logo.width)), max(1, round(longer * logo.height))
    small = logo.resize(size, Image.Resampling.LANCZOS)
    if turn:
        angle = rng.uniform(-turn, turn)
        small = small.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top, right, bottom = room
    x = rng.randint(left + 10, max(left + 10, right - small.width - 10))
    y = rng.randint(top + 10, max(top + 10, bottom - small.height - 10))
    page.paste(small, (x, y), small)
    return page


def _covered(path: Path) -> Image.Image:
    """Return a photograph cut to the page's proportions and size."""
    image = opened(path, 1600)
    share = max(PAGE[0] / image.width, PAGE[1] / image.height)
    size = round(share * image.width), round(share * image.height)
    left, top = (size[0] - PAGE[0]) // 2, (size[1] - PAGE[1]) // 2
    return image.resize(size).crop((left, top, left + PAGE[0], top + PAGE[1]))


def _projection(
    seen: Sequence[tuple[float, float]], flat: Sequence[tuple[float, float]]
) -> list[float]:
    """Return the eight numbers that Pillow brings places of `seen` to those of `flat` with."""
    import numpy as np

    rows, wanted = [], []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(each) for each in np.linalg.solve(np.array(rows), np.array(wanted))]

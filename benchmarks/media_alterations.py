"""What people do to pictures, recordings and films before they use them again."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from handlers.photographs import mirror, overlay, recompress, rotate, screenshot, to_jpeg
from handlers.recordings import RATE, Frame, clip, letterboxed, mirrored, to_mp3
from handlers.wheels import RealFile

# Alterations begin with what people have: larger pictures are brought to this size first.
_SIDE: Final = 1280

Alter = Callable[[Image.Image, random.Random], Image.Image]
Samples = NDArray[np.float32]


def _resize(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)))


def _brighten(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.4)


def _crop(share: float, *, centred: bool = False) -> Alter:
    """Return the alteration that leaves `share` less of each side, from whichever edges."""

    def crop(image: Image.Image, rng: random.Random) -> Image.Image:
        left, top = (share / 2 if centred else rng.uniform(0, share) for _ in range(2))
        width, height = image.size
        right, bottom = left + 1 - share, top + 1 - share
        edges = (left * width, top * height, right * width, bottom * height)
        return image.crop((round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3])))

    return crop


def _border(colour: str, share: float) -> Alter:
    def border(image: Image.Image, rng: random.Random) -> Image.Image:
        width = round(share * min(image.size))
        page = Image.new("RGB", (image.width + 2 * width, image.height + 2 * width), colour)
        page.paste(image, (width, width))
        return page

    return border


def _letterbox(image: Image.Image, rng: random.Random) -> Image.Image:
    bar = round(0.12 * image.height)
    page = Image.new("RGB", (image.width, image.height + 2 * bar))
    page.paste(image, (0, bar))
    return page


PICTURES: Final[Mapping[str, Alter]] = {
    "resize 50 %": _resize,
    "JPEG q30": recompress,
    "brightness +40 %": _brighten,
    "text overlay": overlay,
    "mirror": mirror,
    "rotate 90°": rotate,
    "crop 5 %": _crop(0.05),
    "crop 5 %, centred": _crop(0.05, centred=True),
    "crop 10 %": _crop(0.1),
    "crop 10 %, centred": _crop(0.1, centred=True),
    "white border": _border("white", 0.06),
    "black border": _border("black", 0.1),
    "letterbox": _letterbox,
    "screenshot": screenshot,
}


def open_picture(path: Path) -> Image.Image:
    """Return a picture to alter, at most 1,280 px on its longer side."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    return image


def alter_picture(name: str, image: Image.Image, way: str) -> bytes:
    """Return the picture `name`, altered, as a JPEG file; equal arguments give an equal one."""
    rng = random.Random(f"{name} {way}")  # noqa: S311 - a test picture
    return to_jpeg(PICTURES[way](image, rng), quality=88)


def _as_it_is(excerpt: Samples, other: Samples) -> Samples:
    return excerpt


def _with_noise(excerpt: Samples, other: Samples) -> Samples:
    rng = np.random.default_rng(0)
    return _mixed(excerpt, rng.standard_normal(len(excerpt)).astype(np.float32), 1.0)


def _with_music(excerpt: Samples, other: Samples) -> Samples:
    return _mixed(excerpt, other[: len(excerpt)], 10 ** (-6 / 20))


def _mixed(excerpt: Samples, other: Samples, share: float) -> Samples:
    """Return both together, the other at that share of the excerpt's loudness."""
    loud, other_loud = (float(np.sqrt(np.mean(each**2))) for each in (excerpt, other))
    mixed = 0.5 * (excerpt + share * loud / max(other_loud, 1e-6) * other)
    return np.asarray(mixed, np.float32)


SOUNDS: Final[Mapping[str, tuple[Callable[[Samples, Samples], Samples], int]]] = {
    "10 s, mp3 64k": (_as_it_is, 64_000),
    "10 s, noise 0 dB": (_with_noise, 128_000),
    "10 s, music at -6 dB": (_with_music, 128_000),
}


def alter_sound(samples: Samples, start: float, seconds: float, other: Samples, way: str) -> bytes:
    """Return those seconds as an MP3 file, altered; `other` is other music, as long at least."""
    change, bit_rate = SOUNDS[way]
    excerpt = samples[round(start * RATE) : round((start + seconds) * RATE)]
    return to_mp3(change(excerpt, other), bit_rate)


@dataclass(frozen=True, slots=True)
class FilmClip:
    """A part of a film, altered: from which second on, as a file."""

    start: float
    data: bytes


_CLIP_SECONDS: Final = 10.0


def clips_of(film: RealFile, seconds: float, way: str) -> list[FilmClip]:
    """Return the film altered in a way: as one file, or as up to four clips of it.

    All of them are smaller, with other proportions, 12 frames a second and 400 kbit/s.
    """
    if way == "re-encoded":
        return [FilmClip(0.0, clip(film.path, 0.0, seconds))]
    change = {"mirrored": mirrored, "letterboxed": letterboxed}.get(way, _unchanged)
    spans = _spans(seconds)
    return [FilmClip(start, clip(film.path, start, end, change)) for start, end in spans]


def _unchanged(frame: Frame) -> Frame:
    return frame


FILMS: Final = ("re-encoded", "clipped", "mirrored", "letterboxed")


def _spans(seconds: float) -> list[tuple[float, float]]:
    """Return where to clip: not at whole seconds, and never the beginning of a short film."""
    if seconds < 2 * _CLIP_SECONDS:
        return [(round(0.25 * seconds, 1) + 0.05, seconds)]
    room = seconds - _CLIP_SECONDS
    starts = [round(share * room, 1) + 0.05 for share in (0.1, 0.4, 0.6, 0.9)]
    return [(start, start + _CLIP_SECONDS) for start in starts]

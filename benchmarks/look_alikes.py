"""Pictures that look like a reference and are no copies: other views of its scene, for
`benchmarks.media_quality`."""

from collections.abc import Sequence
from typing import Final

from benchmarks.media_corpora import PICTURES, package_files
from handlers.wheels import CorpusError, RealFile

WAY: Final = "another view"
# Second cameras, later frames and other angles: of each scene one picture is a reference.
_NAMES: Final = (
    *("leuvenB", "aloeR", "graf3", "basketball2", "rubberwhale2", "aero3", "Blender_Suzanne2"),
    *(f"left{n:02}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)),
)


def look_alikes() -> Sequence[RealFile]:
    """Return the pictures; none of them is stored. Raises `CorpusError`."""
    by_name = {path.stem: path for path in package_files(PICTURES)}
    missing = [name for name in _NAMES if name not in by_name]
    if missing:
        raise CorpusError(f"{PICTURES.name} has no {', '.join(missing)} any more")
    return [RealFile(name, by_name[name], PICTURES.name, "stranger") for name in _NAMES]

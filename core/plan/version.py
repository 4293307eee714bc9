"""Which code makes plans: a stored plan of other code is never run."""

import hashlib
from functools import cache
from pathlib import Path

_CORE = Path(__file__).parent.parent
# What decides how a plan is built, optimized, and read back: the stages declare the traits.
_MAKERS = ("plan", "optimizer", "stages", "filtering", "stage.py", "traits.py")


@cache
def planner_version() -> str:
    """Return a digest of the sources that plans follow from, 16 hex digits.

    Derived, so that nobody has to remember to raise a number: a changed rule makes new plans at
    once, and old ones run out unread.
    """
    digest = hashlib.sha256()
    for name in _MAKERS:
        place = _CORE / name
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{path.relative_to(_CORE).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

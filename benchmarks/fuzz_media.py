"""What broken files do to the media processes: run `python -m benchmarks.fuzz_media`.

Each extractor reads thousands of mutated files in its sandboxed child. A mutation must end in an
answer or in a `MediaError`, within the child's own limits; anything else ends the run and is kept.
The last line is JSON: extractor -> counts.
"""

import argparse
import hashlib
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import MediaError
from core.media.extractors import find_extractor
from core.media.rules import ExtractorRules
from core.types import JsonObject
from tests.core.media.mutations import films, mutate, pictures, sounds

FILES = {
    "image.pdq": pictures,
    "audio.chromaprint": sounds,
    "video.vpdq": films,
    "logo.sift": pictures,
}
# What the parent says of a child that a file ended.
_ENDED, _SLOW = "made the media process end", "to read"
_PART = 500


class NoMediaError(Exception):
    """A mutation ended in something else; the file is kept where the message says."""


def main() -> None:
    """Break files of each extractor asked for, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "extractors",
        nargs="*",
        default=[name for name in FILES if not ExtractorRules().missing(find_extractor(name))],
        help="Default: all that are installed.",
    )
    parser.add_argument("--mutations", type=int, default=20_000, help="Of each extractor.")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    results = {
        name: fuzz(name, FILES[name](), given.mutations, given.seed) for name in given.extractors
    }
    print(json.dumps(results))


def fuzz(name: str, originals: Mapping[str, bytes], mutations: int, seed: int) -> JsonObject:
    """Return the counts of what `mutations` broken files came to."""
    rng = random.Random(seed)  # noqa: S311 - which bytes to break
    kinds, counts, slowest = list(originals), Counter[str](), 0.0
    libraries = find_extractor(name).extra or "media"
    limits = ProcessLimits(wall_seconds=20)
    child = ProcessMediaExtractor(workers=2, limits=limits, libraries=libraries)
    started = time.perf_counter()

    def read(data: bytes) -> tuple[str, float]:
        begun = time.perf_counter()
        return _read(child, name, data), time.perf_counter() - begun

    try:
        with ThreadPoolExecutor(2) as pool:
            for first in range(0, mutations, _PART):
                part = range(first, min(first + _PART, mutations))
                files = [mutate(originals[kinds[n % len(kinds)]], rng) for n in part]
                for outcome, seconds in pool.map(read, files):
                    counts[outcome] += 1
                    slowest = max(slowest, seconds)
                print(f"{name}: {part.stop} of {mutations}, {dict(counts)}", flush=True)
    finally:
        child.close()
    return {
        "mutations": mutations,
        **counts,
        "slowest_s": round(slowest, 2),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _read(child: ProcessMediaExtractor, name: str, data: bytes) -> str:
    try:
        found = child.extract(name, data, deadline=Deadline.after(300), as_query=True)
    except MediaError as error:
        if _ENDED in error.message:
            return "child_ended"
        return "child_slow" if error.message.endswith(_SLOW) else "refused"
    except Exception as error:
        path = Path(tempfile.gettempdir()) / f"fuzz-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        raise NoMediaError(f"{name}: {type(error).__name__}: {error}; see {path}") from error
    return "read_in_part" if found.warnings else "read"


if __name__ == "__main__":
    main()

"""What broken files do to the media processes: run `python -m benchmarks.fuzz_media`.

Each extractor reads thousands of broken real files in its sandboxed children, half broken in their
bytes and half in their structure. Each must end in an answer or in a `MediaError`, within the
child's own limits; the first that does not is kept, and ends the run with an error.
The last line is JSON: extractor -> counts.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzz_files import faces, films, pictures, sounds
from core.adapters.media_onnx import OnnxMediaExtractor
from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import MediaError
from core.media.extractors import find_extractor
from core.media.rules import ExtractorRules
from core.ports.media import MediaExtractor
from core.types import JsonObject
from tests.core.media.mutations import mutate
from tests.core.media.onnx_file import mean_colour_model
from tests.core.media.structures import break_structure

Make = Callable[[Path], MediaExtractor]


@dataclass(frozen=True, slots=True)
class Case:
    """An extractor's files to break, its parameters, and the processes that read them.

    `make` is given an empty folder.
    """

    files: Callable[[], Mapping[str, bytes]]
    make: Make
    params: Mapping[str, Any] = field(default_factory=dict)


def _processes(libraries: str) -> Make:
    limits = ProcessLimits(wall_seconds=20)
    return lambda folder: ProcessMediaExtractor(
        workers=_WORKERS, limits=limits, libraries=libraries
    )


def _with_a_model(folder: Path) -> MediaExtractor:
    path = folder / "colours.onnx"
    path.write_bytes(mean_colour_model())
    return OnnxMediaExtractor({"colours": str(path)})


_MODEL = {"model": "colours", "dimension": 3, "input_size": 32}
_WORKERS = 2
_PART = 1000
# One line for each extractor that reads files here.
CASES = {
    "image.pdq": Case(pictures, _processes("media")),
    "audio.chromaprint": Case(sounds, _processes("media")),
    "video.vpdq": Case(films, _processes("media")),
    "logo.sift": Case(pictures, _processes("logo")),
    "face.dlib": Case(faces, _processes("face")),
    "image.onnx": Case(pictures, _with_a_model, _MODEL),
}
# What the parent says of a child that a file ended.
_ENDED, _SLOW = "made the media process end", "to read"


class NoMediaError(Exception):
    """A broken file ended in something else; the file is kept where the message says."""


def main() -> int:
    """Break files of each extractor asked for; print what became of them. 1 if one did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    rules = ExtractorRules(onnx_models=("colours",), faces=True)
    installed = [name for name in CASES if not rules.missing(find_extractor(name))]
    parser.add_argument("extractors", nargs="*", help="Default: all that are installed.")
    parser.add_argument("--mutations", type=int, default=20_000, help="Of each extractor.")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    results, failed = {}, False
    for name in given.extractors or installed:
        try:
            results[name] = fuzz(name, CASES[name], given.mutations, given.seed)
        except NoMediaError as error:
            print(error, file=sys.stderr)
            results[name], failed = {"failed": str(error)}, True
    print(json.dumps(results))
    return int(failed)


def fuzz(name: str, case: Case, mutations: int, seed: int) -> JsonObject:
    """Return the counts of what `mutations` broken files came to. Raises `NoMediaError`."""
    rng = random.Random(seed)  # noqa: S311 - which bytes to break
    originals = list(case.files().values())
    counts, slowest, started = Counter[str](), 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, closing(case.make(Path(folder))) as child:

        def read(data: bytes) -> tuple[str, float]:
            begun = time.perf_counter()
            return _read(child, name, case, data), time.perf_counter() - begun

        with ThreadPoolExecutor(_WORKERS) as pool:
            for first in range(0, mutations, _PART):
                part = range(first, min(first + _PART, mutations))
                for outcome, seconds in pool.map(read, [broken(originals, n, rng) for n in part]):
                    counts[outcome] += 1
                    slowest = max(slowest, seconds)
                rate = part.stop / (time.perf_counter() - started)
                print(f"{name}: {part.stop}, {rate:.0f} a second, {dict(counts)}", flush=True)
            # A process that has read all of these reads whole files as before.
            whole = Counter(_read(child, name, case, data) for data in originals)
    if whole["refused"] or whole["child_ended"] or whole["child_slow"]:
        raise NoMediaError(f"{name}: whole files are not read afterwards: {dict(whole)}")
    seconds = time.perf_counter() - started
    return {
        "mutations": mutations,
        **counts,
        "slowest_s": round(slowest, 2),
        "a_second": round(mutations / seconds, 1),
    }


def broken(originals: Sequence[bytes], n: int, rng: random.Random) -> bytes:
    """Return the n-th broken file: each original in turns, in its bytes and in its structure."""
    data = originals[n // 2 % len(originals)]
    if n % 2:
        return break_structure(data, rng.choice(originals), rng)
    return mutate(data, rng)


def _read(child: MediaExtractor, name: str, case: Case, data: bytes) -> str:
    try:
        found = child.extract(
            name, data, deadline=Deadline.after(300), params=case.params, as_query=True
        )
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
    sys.exit(main())

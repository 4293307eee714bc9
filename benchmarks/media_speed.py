"""How fast media is read, in files per second and times real time: `python -m
benchmarks.media_speed [image.pdq] [audio.chromaprint] [video.vpdq] [logo.sift] [face.dlib]`.

Real photographs, recordings and films, each read as a reference and as a query is, by the child
processes that read them on a laptop: by one, and by as many as the machine has processors. They
are started and have read a file before the clock runs. Medians of runs in turns.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from core.adapters.media_process import ProcessMediaExtractor
from core.deadline import NEVER
from core.media.extractors import find_extractor
from core.media.rules import ExtractorRules
from core.ports.media import Extraction
from handlers.photographs import PHOTOGRAPHS
from handlers.recordings import FILMS, SOUNDS
from handlers.wheels import Corpus, RealFile, fetch_missing

TURNS: Final = 3
# Few files are read several times over, so that a run is long enough to be timed.
RUN_SECONDS: Final = 1.0
USES: Final = {"reference": False, "query": True}


@dataclass(frozen=True, slots=True)
class Crew:
    """So many child processes that read, and what they are called in the answer."""

    name: str
    processes: int
    media: ProcessMediaExtractor


@dataclass(frozen=True, slots=True)
class Load:
    """What one run reads, the largest first: else one process ends long after the others."""

    extractor: str
    as_query: bool
    files: Sequence[bytes]
    params: Mapping[str, Any] | None = None

    def run(self, crew: Crew, rounds: int = 1) -> list[Extraction]:
        """Read all files, in every round; a file that cannot be read raises `MediaError`."""

        def read(data: bytes) -> Extraction:
            return crew.media.extract(
                self.extractor, data, deadline=NEVER, as_query=self.as_query, params=self.params
            )

        with ThreadPoolExecutor(crew.processes) as pool:
            return list(pool.map(read, [*self.files] * rounds))


@dataclass(frozen=True, slots=True)
class Case:
    """An extractor, what it reads, which libraries its processes load, and its parameters."""

    extractor: str
    corpus: Corpus
    libraries: str = "media"
    params: Mapping[str, Any] | None = None


CASES: Final = {
    "image.pdq@v1": Case("image.pdq@v1", PHOTOGRAPHS),
    "image.pdq@v2": Case("image.pdq@v2", PHOTOGRAPHS),
    # Where collections say something of their extractor that costs time.
    "image.pdq@v2 verify": Case("image.pdq@v2", PHOTOGRAPHS, "logo", {"verify": True}),
    "audio.chromaprint@v1": Case("audio.chromaprint", SOUNDS),
    "video.vpdq@v1": Case("video.vpdq", FILMS),
    "logo.sift@v1": Case("logo.sift", PHOTOGRAPHS, "logo"),
    "face.dlib@v1": Case("face.dlib", PHOTOGRAPHS, "face"),
}


def main() -> None:
    """Fetch what is missing, measure the extractors that are named, or all; print what came out."""
    fetch_missing([PHOTOGRAPHS, SOUNDS, FILMS], say=print)
    processors = os.cpu_count() or 1
    busy = os.getloadavg()[0]
    if busy > processors / 2:
        print(f"others are at work here (load {busy:.1f} on {processors}): figures will be low")
    asked, rules = sys.argv[1:], ExtractorRules(faces=True)
    answer = {}
    for name, case in CASES.items():
        if asked and name.partition("@")[0] not in asked:
            continue
        missing = rules.missing(find_extractor(case.extractor).sized(case.params or {}))
        if missing:
            print(f"{name} is not measured: {missing}")
        else:
            answer[name] = measure_apart(case, processors)
    print(json.dumps(answer))


def measure_apart(case: Case, processors: int) -> dict[str, Any]:
    """Return one case's figures, by processes of its own."""
    crews = [
        Crew(name, count, ProcessMediaExtractor(workers=count, libraries=case.libraries))
        for name, count in (("one_process", 1), ("all_processors", processors))
    ]
    try:
        return measure(case.extractor, case.corpus.files(), crews, case.params)
    finally:
        for crew in crews:
            crew.media.close()


def measure(
    name: str,
    files: Sequence[RealFile],
    crews: Sequence[Crew],
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return one extractor's figures by use and crew; print them as a table."""
    data = sorted((file.path.read_bytes() for file in files), key=len, reverse=True)
    megabytes = round(sum(map(len, data)) / 1e6, 1)
    label = " ".join([find_extractor(name).reference, *(params or {})])
    print(f"{label}: {len(data)} files, {megabytes} MB")
    body: dict[str, Any] = {"files": len(data), "megabytes": megabytes}
    for use, as_query in USES.items():
        load = Load(name, as_query, data, params)
        for crew in crews:
            start_all(load, crew)
        started = time.perf_counter()
        read = load.run(crews[0])
        playing = sum(one.media.duration_ms or 0 for one in read) / 1000
        if not as_query:
            body["vector_bytes_a_file"] = round(sum(map(vector_bytes, read)) / len(read))
            print(f"  {body['vector_bytes_a_file']:,} bytes of vectors a file")
        rounds = max(1, round(RUN_SECONDS / (time.perf_counter() - started)))
        spent = take_turns(load, rounds, crews)
        body[use] = {}
        for crew in crews:
            rates = rates_of(len(data), playing, spent[crew.name] / rounds)
            body[use][crew.name] = {"processes": crew.processes, **rates}
            show(use, crew.processes, rates)
    return body


def vector_bytes(read: Extraction) -> int:
    """Return how many bytes of vectors and places are stored of a file."""
    places = (each.keypoints for each in read.chunks)
    return sum(each.vector.nbytes for each in read.chunks) + sum(
        each.nbytes for each in places if each is not None
    )


def start_all(load: Load, crew: Crew) -> None:
    """Let every process start and read a file, which makes it load its libraries."""
    first = replace(load, files=[load.files[0]] * crew.processes)
    first.run(crew)
    while len(crew.media.pids()) < crew.processes:
        first.run(crew)


def take_turns(load: Load, rounds: int, crews: Sequence[Crew]) -> dict[str, float]:
    """Return the median seconds of a run by the crew's name."""
    samples: dict[str, list[float]] = {crew.name: [] for crew in crews}
    for _ in range(TURNS):
        for crew in crews:
            started = time.perf_counter()
            load.run(crew, rounds)
            samples[crew.name].append(time.perf_counter() - started)
    return {name: statistics.median(spent) for name, spent in samples.items()}


def rates_of(files: int, playing: float, spent: float) -> dict[str, float]:
    """Return the rates of `files` read in `spent` s; `playing` is how long they play, 0 s for
    pictures."""
    rates = {"files_per_second": round(files / spent, 2)}
    if playing:
        rates["times_real_time"] = round(playing / spent, 1)
    return rates


def show(use: str, processes: int, rates: dict[str, float]) -> None:
    """Print one row."""
    what = f"as a {use}, {processes} process{'es' if processes > 1 else ''}"
    text = f"  {what:30}{rates['files_per_second']:8.1f} files/s"
    if "times_real_time" in rates:
        text += f"{rates['times_real_time']:9.1f} x real time"
    print(text)


if __name__ == "__main__":
    main()

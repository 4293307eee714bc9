"""Exact search against faiss on one batch of 50: run `python -m benchmarks.search`.

Prints a table and, last, one line of JSON. Times are medians of interleaved runs in one process,
each library with the threads it ships with; both indexes are warm. Ratios travel, milliseconds
do not.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.datasets import Dataset, make_bits, make_isotropic, make_structured
from core.adapters.vectors_embedded import EmbeddedVectors
from core.ports.vectors import Codes, TopK, VectorBlock
from core.search.codes import encode

COUNT, DIMENSION, QUERIES, K = 200_000, 512, 50, 10
BITS_COUNT, BITS = 1_000_000, 256
RUNS = 9
# faiss's threads go on spinning for a moment after a call: whoever runs next must not pay.
PAUSE_SECONDS = 0.05
FAISS_TUNED_THRESHOLD = 4


def main() -> None:
    """Measure both data sets and the bit vectors, and print what came out."""
    engine = EmbeddedVectors()
    with tempfile.TemporaryDirectory() as folder:
        structured = measure(make_structured(COUNT, DIMENSION, QUERIES), engine, Path(folder))
        isotropic = measure(make_isotropic(COUNT, DIMENSION, QUERIES), engine, Path(folder))
    report = {**structured, "isotropic": isotropic, "hamming": measure_bits(engine)}
    engine.close()
    print(json.dumps(report))


def measure(data: Dataset, engine: EmbeddedVectors, folder: Path) -> dict[str, Any]:
    """Return ratios, recall and milliseconds of one data set of unit vectors."""
    path = folder / f"{data.name}.npy"
    np.save(path, data.vectors)
    originals = np.load(path, mmap_mode="r")
    started = time.perf_counter()
    codes = encode(originals, "cosine")
    assert codes is not None
    build_seconds = time.perf_counter() - started
    block = VectorBlock("cosine", DIMENSION, originals, codes)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(data.vectors)
    queries = data.queries
    default_threshold = faiss.cvar.distance_compute_blas_threshold

    def run_faiss(threshold: int) -> None:
        faiss.cvar.distance_compute_blas_threshold = threshold
        index.search(queries, K)

    times = interleave(
        {
            "trawl": lambda: engine.search(block, queries, K),
            "faiss default": lambda: run_faiss(default_threshold),
            "faiss tuned": lambda: run_faiss(FAISS_TUNED_THRESHOLD),
            "trawl, 1 query": lambda: engine.search(block, queries[:1], K),
            "trawl, 50 single": lambda: [
                engine.search(block, queries[i : i + 1], K) for i in range(QUERIES)
            ],
        }
    )
    faiss.cvar.distance_compute_blas_threshold = default_threshold
    found = engine.search(block, queries, K)
    recall, identical = compare(found, data)
    show(f"{data.name}: {COUNT:,} x {DIMENSION}, {QUERIES} queries, k {K}", times)
    print(f"  recall@{K} {recall}, identical to float64 brute force: {identical}")
    print(f"  codes made in {build_seconds:.1f} s, {code_bytes(codes) / 2**20:.0f} MB\n")
    return {
        "vs_faiss_default": ratio(times, "faiss default", "trawl"),
        "vs_faiss_tuned": ratio(times, "faiss tuned", "trawl"),
        "recall": recall,
        "identical": identical,
        "exact": bool(found.exact.all()),
        "codes_fraction": round(code_bytes(codes) / originals.nbytes, 4),
        "merged_vs_single": ratio(times, "trawl, 50 single", "trawl"),
        "ms": {name: round(value, 2) for name, value in times.items()},
    }


def measure_bits(engine: EmbeddedVectors) -> dict[str, Any]:
    """Return the ratio to `faiss.IndexBinaryFlat` on packed 256-bit vectors."""
    vectors, queries = make_bits(BITS_COUNT, BITS, QUERIES)
    block = VectorBlock("hamming", BITS, vectors)
    index = faiss.IndexBinaryFlat(BITS)
    index.add(vectors)
    times = interleave(
        {
            "trawl": lambda: engine.search(block, queries, K),
            "faiss IndexBinaryFlat": lambda: index.search(queries, K),
        }
    )
    distances, _ = index.search(queries, K)
    found = engine.search(block, queries, K)
    identical = bool(np.array_equal(found.scores, 1.0 - distances / BITS))
    show(f"Hamming: {BITS_COUNT:,} x {BITS} bits, {QUERIES} queries, k {K}", times)
    print(f"  distances identical to faiss: {identical}\n")
    return {
        "vs_faiss_binary": ratio(times, "faiss IndexBinaryFlat", "trawl"),
        "identical": identical,
    }


def interleave(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median milliseconds of each, run in turns after one warm-up."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(RUNS + 1):
        for name, run in runs.items():
            time.sleep(PAUSE_SECONDS)
            started = time.perf_counter()
            run()
            if turn:
                samples[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in samples.items()}


def compare(found: TopK, data: Dataset) -> tuple[float, bool]:
    """Return recall, and whether rows are the same in order, against a float64 product."""
    hits, same = 0, True
    for start in range(0, len(data.queries), 10):
        part = data.queries[start : start + 10].astype(np.float64)
        scores = np.concatenate(
            [
                part
                @ data.vectors[at : at + 20_000].T.astype(np.float64)
                / np.linalg.norm(data.vectors[at : at + 20_000].astype(np.float64), axis=1)
                for at in range(0, len(data.vectors), 20_000)
            ],
            axis=1,
        )
        for offset, row in enumerate(scores):
            wanted = np.lexsort((np.arange(len(row)), -row))[:K]
            mine = found.rows[start + offset]
            hits += len(np.intersect1d(wanted, mine))
            same = same and bool(np.array_equal(wanted, mine))
    return hits / (len(data.queries) * K), same


def code_bytes(codes: Codes) -> int:
    """Return what stays in memory beside the memory-mapped originals."""
    arrays = (codes.values, codes.scales, codes.residuals, codes.norms)
    return sum(array.nbytes for array in arrays)


def ratio(times: dict[str, float], slower: str, faster: str) -> float:
    """Return how many times longer `slower` took."""
    return round(times[slower] / times[faster], 2)


def show(title: str, times: dict[str, float]) -> None:
    """Print one table."""
    print(title)
    for name, value in times.items():
        print(f"  {name:24}{value:10.2f} ms")


if __name__ == "__main__":
    main()

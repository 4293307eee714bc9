"""Loading a collection's image from S3 into a fresh process, ours against a plain download.

`measure_load` runs both; `python -m benchmarks.aws_load` is what each fresh process runs.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.aws_s3_server import BUCKET, client_of, running_s3

COUNT, DIMENSION, TURNS = 200_000, 512, 9
KEY = "image.seg"
# Threads and MB of a range: what the plain download may choose from.
CHOICES = (
    *((2, 16), (2, 64), (3, 32), (4, 8), (4, 16), (4, 32), (4, 64)),
    *((8, 4), (8, 8), (8, 16), (8, 32), (16, 8)),
)
TRIES, FINALISTS = 2, 2


def measure_load(folder: Path) -> tuple[dict[str, float], int]:
    """Return the median ms of ours and of the best plain downloads, and the image's bytes."""
    with running_s3(folder) as environment:
        data, digest = _make_image()
        client_of(environment).put_object(Bucket=BUCKET, Key=KEY, Body=data)
        ours = ("ours", digest, str(len(data)))
        _run(environment, *ours)
        first = {choice: _try_plain(environment, choice) for choice in CHOICES}
        best = sorted(CHOICES, key=lambda choice: first[choice])[:FINALISTS]
        samples: dict[str, list[float]] = {"ours, checked and decoded": []}
        samples |= {_name(choice): [] for choice in best}
        for _ in range(TURNS):
            samples["ours, checked and decoded"].append(_run(environment, *ours))
            for choice in best:
                samples[_name(choice)].append(_run_plain(environment, choice))
    medians = {name: 1000 * statistics.median(values) for name, values in samples.items()}
    return medians, len(data)


def _name(choice: tuple[int, int]) -> str:
    return f"plain, {choice[0]} threads, ranges of {choice[1]} MB"


def _try_plain(environment: dict[str, str], choice: tuple[int, int]) -> float:
    return min(_run_plain(environment, choice) for _ in range(TRIES))


def _run_plain(environment: dict[str, str], choice: tuple[int, int]) -> float:
    return _run(environment, "plain", str(choice[0]), str(choice[1]))


def _run(environment: dict[str, str], *arguments: str) -> float:
    """Return the seconds that a fresh process says the load took, its imports not counted."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-m", "benchmarks.aws_load", *arguments],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
    )
    return float(json.loads(done.stdout)["seconds"])


def _make_image() -> tuple[bytes, str]:
    """Return the image of a whole collection, with payloads and codes, and its digest."""
    from benchmarks.datasets import make_structured
    from benchmarks.service import VECTOR, make_document
    from core.storage.segments import encode_segment
    from core.types import VectorSpec

    vectors = make_structured(COUNT, DIMENSION, 1).vectors
    documents = (make_document(number, vector) for number, vector in enumerate(vectors))
    encoded = encode_segment(documents, {VECTOR: VectorSpec(VECTOR, DIMENSION, "cosine")})
    return encoded.data, encoded.digest


# --- in the fresh process ----------------------------------------------------------------------


def _load_ours(digest: str, size: int) -> float:
    from core.adapters.blobs_s3 import S3BlobStores
    from core.storage.manifest import SegmentEntry
    from core.storage.segment_cache import SegmentCache

    blobs = S3BlobStores().bucket(BUCKET)
    blobs.head("ready")  # makes the client
    entry = SegmentEntry("bench", KEY, digest, size, COUNT, 0)
    started = time.perf_counter()
    segment = SegmentCache().get(blobs, entry)
    seconds = time.perf_counter() - started
    assert segment.count == COUNT
    return seconds


def _load_plain(threads: int, megabytes: int) -> float:
    """The fastest plain way that was found: ranges in threads, read from the socket to their place
    in memory of large pages. Botocore's own `read` and `readinto` copy, and take a third longer."""
    import mmap
    from concurrent.futures import ThreadPoolExecutor

    import boto3
    from botocore.config import Config

    client: Any = boto3.client("s3", config=Config(max_pool_connections=threads))
    client.head_object(Bucket=BUCKET, Key="ready")
    started = time.perf_counter()
    size, step = client.head_object(Bucket=BUCKET, Key=KEY)["ContentLength"], megabytes << 20
    buffer = mmap.mmap(-1, size)
    buffer.madvise(getattr(mmap, "MADV_HUGEPAGE", mmap.MADV_NORMAL))
    view = memoryview(buffer)

    def fill(start: int) -> None:
        end = min(start + step, size)
        asked = f"bytes={start}-{end - 1}"
        body = client.get_object(Bucket=BUCKET, Key=KEY, Range=asked)["Body"]
        while start < end:
            start += body._raw_stream._fp.readinto(view[start:end])
        body._raw_stream.release_conn()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, size, step)))
    return time.perf_counter() - started


def main() -> None:
    """Load once, and print how long it took."""
    kind, first, second = sys.argv[1:]
    if kind == "ours":
        seconds = _load_ours(first, int(second))
    else:
        seconds = _load_plain(int(first), int(second))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()

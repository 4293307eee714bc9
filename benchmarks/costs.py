"""What a deployment costs by list prices and measured times: run `python -m benchmarks.costs`.

Prints the tables of `docs/aws.md`. The times are arguments: seconds that Lambda would bill. The
defaults were measured on an AWS emulator (2 cores of a Xeon, JPEG files of 0.5 megapixels), since
no run on AWS has been made yet. Prices are in USD for us-east-1, without free tiers or discounts.
"""

import argparse
from typing import Final

from core.jobs.cost import (
    DYNAMODB_READ,
    DYNAMODB_WRITE,
    LAMBDA_GB_SECOND,
    LAMBDA_REQUEST,
    S3_GET,
    S3_PUT,
    STATE_TRANSITION,
)
from infra.settings import InfraSettings

# Found in public pages of 2026.
GATEWAY_CALL: Final = {"http": 1.00 / 1_000_000, "rest": 3.50 / 1_000_000}
SNAPSHOT_GB_SECOND: Final = 0.0000015046
LOG_GB: Final = 0.50
DASHBOARD: Final = 3.00
KEY: Final = 1.00
# From memory.
ALARM: Final = 0.10
SQS_CALL: Final = 0.40 / 1_000_000

MONTH_S: Final = 730 * 3600
ALARMS: Final = 16
# Lambda asks an empty queue with five pollers, each for up to 20 s.
QUEUE_POLLERS, QUEUE_POLL_S = 5, 20
BATCH_FILES: Final = 20
# Log lines of one call: Lambda's own three, and ours where a call writes one.
MEDIA_LOG_GB, API_LOG_GB = 300e-9, 1500e-9
# As `core/jobs/manifest.py` cuts them: 25 lines at least, about a thousand chunks at most.
CHUNK_LINES, MOST_CHUNKS = 25, 1000
_TRANSITIONS: Final = 4


def run_seconds(seconds: float, memory_mb: int, calls: float) -> float:
    """Return what these calls of a function cost, `seconds` all together."""
    return seconds * memory_mb / 1024 * LAMBDA_GB_SECOND + calls * LAMBDA_REQUEST


def media_cost(settings: InfraSettings, seconds: float, files: int) -> float:
    """Return what reading the files costs: each is fetched from S3 once, and handed over."""
    own = run_seconds(seconds * files, settings.media_memory_mb, files)
    return own + files * (S3_GET + MEDIA_LOG_GB * LOG_GB)


def batch_cost(settings: InfraSettings, api_s: float, media_s: float) -> float:
    """Return what one batch of `BATCH_FILES` files costs."""
    api = run_seconds(api_s, settings.memory_mb, 1) + GATEWAY_CALL[settings.api]
    # The key, the namespace, the retriever and its collection, each looked up.
    own = api + 5 * DYNAMODB_READ + API_LOG_GB * LOG_GB
    return own + media_cost(settings, media_s, BATCH_FILES)


def job_cost(settings: InfraSettings, job_s: float, media_s: float, files: int) -> float:
    """Return what a job of so many files and one retriever costs."""
    chunks = min(-(-files // CHUNK_LINES), MOST_CHUNKS)
    own = run_seconds(job_s * files, settings.memory_mb, chunks)
    own += chunks * _TRANSITIONS * STATE_TRANSITION
    own += chunks * (2 * S3_PUT + S3_GET + 4 * DYNAMODB_WRITE + 3 * DYNAMODB_READ)
    return own + media_cost(settings, media_s, files)


def idle_costs(settings: InfraSettings, upkeep_s: float) -> dict[str, float]:
    """Return what a month without a single call costs, by what it is for."""
    snapshot = settings.memory_mb / 1024 * SNAPSHOT_GB_SECOND * MONTH_S
    rounds = MONTH_S / 3600
    return {
        "snapshot of the api function (`snap_start`)": snapshot if settings.snap_start else 0.0,
        "dashboard (an account's first three are free)": DASHBOARD,
        f"{ALARMS} alarms (the first ten are free)": ALARMS * ALARM,
        "key of the alarm topic": KEY,
        "Lambda asking the ingest queue": MONTH_S / QUEUE_POLL_S * QUEUE_POLLERS * SQS_CALL,
        "upkeep, every hour": run_seconds(rounds * upkeep_s, settings.memory_mb, rounds),
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api-s", type=float, default=0.45, help="a batch of 20, api function")
    parser.add_argument("--media-s", type=float, default=0.068, help="a file, media function")
    parser.add_argument("--job-s", type=float, default=0.046, help="a file of a job, job function")
    parser.add_argument("--job-media-s", type=float, default=0.089, help="a file of a job, media")
    parser.add_argument("--upkeep-s", type=float, default=1.0, help="a round of upkeep")
    given = parser.parse_args()
    settings = InfraSettings()
    batch = batch_cost(settings, given.api_s, given.media_s)
    print("| what | USD |\n|---|---|")
    print(f"| one batch of {BATCH_FILES} files | {batch:.5f} |")
    print(f"| a million files, in batches of {BATCH_FILES} | {batch * 1e6 / BATCH_FILES:.2f} |")
    for files in (1_000, 1_000_000):
        cost = job_cost(settings, given.job_s, given.job_media_s, files)
        print(f"| {files:,} files, as a job | {cost:.4f} |")
    idle = idle_costs(settings, given.upkeep_s)
    print("\n| idle, a month | USD |\n|---|---|")
    for name, usd in idle.items():
        print(f"| {name} | {usd:.2f} |")
    print(f"| **together** | **{sum(idle.values()):.2f}** |")


if __name__ == "__main__":
    main()

"""What a job cost so far: list prices times what was measured. An estimate, and it says so."""

from typing import Final

from core.jobs.progress import Totals
from core.types import JsonObject

# AWS list prices in USD, us-east-1, x86, standard workflows, on-demand tables, as of August 2025.
# No free tier, no discounts.
PRICES: Final = "AWS list prices, us-east-1, August 2025"
LAMBDA_GB_SECOND: Final = 0.0000166667
LAMBDA_REQUEST: Final = 0.20 / 1_000_000
STATE_TRANSITION: Final = 0.025 / 1000
S3_PUT: Final = 0.005 / 1000
S3_GET: Final = 0.0004 / 1000
DYNAMODB_WRITE: Final = 0.625 / 1_000_000
DYNAMODB_READ: Final = 0.125 / 1_000_000

# A call and a look at its answer; beside it a chunk's child, which the map starts and which ends.
_TRANSITIONS_PER_CALL: Final = 2
_TRANSITIONS_PER_CHUNK: Final = 2
# A unit of writing is 1 KB, one of reading 4 KB.
_WRITES_PER_READ: Final = 4
COVERS: Final = (
    "the job function's work on chunks, the media functions that it calls, what it asks of S3 and "
    "DynamoDB, and Step Functions; not fetching the files, planning and finishing, storage, "
    "transfer, or looking at the job"
)


def estimate_cost(totals: Totals, chunks: int) -> JsonObject:
    """Return the cost of a job; 0 where its seconds cost nothing, as on a laptop."""
    on_aws = totals.gb_seconds > 0
    requests = {
        "lambda": totals.calls + totals.media_calls,
        "state_transitions": (
            totals.calls * _TRANSITIONS_PER_CALL + totals.chunks * _TRANSITIONS_PER_CHUNK
        ),
        "s3_put": totals.files + chunks,
        "s3_get": totals.calls,
        "dynamodb_write": totals.write_units,
        # A save reads the job's record and the chunk's, which may be of several units.
        "dynamodb_read": totals.saves + -(-totals.write_units // _WRITES_PER_READ),
    }
    prices = {
        "lambda": LAMBDA_REQUEST,
        "state_transitions": STATE_TRANSITION,
        "s3_put": S3_PUT,
        "s3_get": S3_GET,
        "dynamodb_write": DYNAMODB_WRITE,
        "dynamodb_read": DYNAMODB_READ,
    }
    usd = (totals.gb_seconds + totals.media_gb_seconds) * LAMBDA_GB_SECOND
    usd += sum(count * prices[name] for name, count in requests.items())
    return {
        "estimated": True,
        "usd": round(usd, 6) if on_aws else 0.0,
        "lambda_gb_seconds": round(totals.gb_seconds, 3),
        "media_gb_seconds": round(totals.media_gb_seconds, 3) if on_aws else 0.0,
        "requests": requests if on_aws else dict.fromkeys(requests, 0),
        "prices": PRICES,
        "covers": COVERS,
    }

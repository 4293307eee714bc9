"""A cold start's CPU time: run `python -m benchmarks.cold_start`.

A fresh process that imports the API handler and answers `/v1/health`, against one that imports
boto3 and makes an S3 and a DynamoDB client. User and system time of whole processes, in turns.
"""

import json
import os
import resource
import statistics
import subprocess
import sys

TURNS = 11

HEALTH = """
import json
from handlers.api import handler
class Context:
    function_name = "bench"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:bench"
    aws_request_id = "0"
    def get_remaining_time_in_millis(self): return 30000
event = {
    "version": "2.0", "routeKey": "$default", "rawPath": "/v1/health", "rawQueryString": "",
    "headers": {}, "isBase64Encoded": False,
    "requestContext": {"stage": "$default", "requestId": "r",
                       "http": {"method": "GET", "path": "/v1/health"}},
}
answer = handler(event, Context())
assert answer["statusCode"] == 200, answer
"""

CLIENTS = """
import boto3
boto3.client("s3")
boto3.client("dynamodb")
"""

ENVIRONMENT = {
    "TRAWL_TABLE": "table",
    "TRAWL_ASSETS_BUCKET": "assets",
    "TRAWL_INDEX_BUCKET": "index",
    "TRAWL_RESULTS_BUCKET": "results",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def cpu_milliseconds(program: str) -> float:
    """Return the user and system time of a fresh interpreter that runs the program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 - our own interpreter and programs
        [sys.executable, "-c", program],
        check=True,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    """Run both in turns after one that does not count, and print the medians."""
    programs = {"import handlers.api, answer health": HEALTH, "boto3 and two clients": CLIENTS}
    samples: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(TURNS + 1):
        for name, program in programs.items():
            spent = cpu_milliseconds(program)
            if turn:
                samples[name].append(spent)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    for name, value in medians.items():
        print(f"  {name:36}{value:8.0f} ms CPU")
    handler_ms, boto_ms = medians.values()
    milliseconds = {name: round(value) for name, value in medians.items()}
    print(json.dumps({"cold_start_ratio": round(handler_ms / boto_ms, 3), "ms": milliseconds}))


if __name__ == "__main__":
    main()

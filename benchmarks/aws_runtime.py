"""The API function under AWS's own runtime client: what its init costs, and a warm call."""

import json
import resource
import statistics
import time
from collections.abc import Mapping
from typing import Any

from tests.imports import ROOT
from tests.runtime.emulator import Function

INIT_TURNS, WARM_CALLS, WARM_UP = 15, 1_000, 100

ENVIRONMENT = {
    "TRAWL_TABLE": "table",
    "TRAWL_ASSETS_BUCKET": "assets",
    "TRAWL_INDEX_BUCKET": "index",
    "TRAWL_RESULTS_BUCKET": "results",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_EC2_METADATA_DISABLED": "true",
    # As the stack sets them.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
API, EMPTY = "handlers.api.handler", "tests.runtime.functions.empty"
INITS = {
    "the API, service built": "benchmarks.aws_init_api.handler",
    "boto3 and two clients": "benchmarks.aws_init_clients.handler",
    "the API, imported only": API,
    "the runtime client alone": EMPTY,
}


def measure_init() -> dict[str, float]:
    """Return the median CPU ms of each process from its start to its first request for work."""
    samples: dict[str, list[float]] = {name: [] for name in INITS}
    for turn in range(INIT_TURNS + 1):
        for name, handler in INITS.items():
            spent = _cpu_of_init(handler)
            if turn:
                samples[name].append(spent)
    return {name: statistics.median(values) for name, values in samples.items()}


def _cpu_of_init(handler: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Function(handler, ENVIRONMENT) as function:
        fault = function.start()
        if fault is not None:
            raise RuntimeError(f"{handler} did not start: {fault.payload.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def measure_warm() -> dict[str, float]:
    """Return the median ms of a warm health call and of an empty handler's call, in turns.

    A call ends when the function asks for the next: the log line that follows an answer counts.
    """
    event = _health_event()
    with Function(API, ENVIRONMENT) as api, Function(EMPTY) as empty:
        functions = {"health": api, "an empty handler": empty}
        samples = _call_in_turns(functions, event)
    return {name: 1000 * statistics.median(values) for name, values in samples.items()}


def _call_in_turns(functions: Mapping[str, Function], event: Any) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for call in range(WARM_UP + WARM_CALLS):
        for name, function in functions.items():
            started = time.perf_counter()
            answer = function.invoke(event)
            spent = time.perf_counter() - started
            if answer.error is not None or answer.json["statusCode"] != 200:
                raise RuntimeError(f"{name} did not answer: {answer.payload.decode()}")
            if call >= WARM_UP:
                samples[name].append(spent)
    return samples


def _health_event() -> Any:
    event = json.loads((ROOT / "tests/events/api_gateway_v2.json").read_text())
    event.update(rawPath="/v1/health", rawQueryString="")
    event["requestContext"]["http"].update(method="GET", path="/v1/health")
    return event

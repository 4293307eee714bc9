"""What a batch costs beside its search: run `python -m benchmarks.overhead`.

The Lambda handler answers an API Gateway event of 50 queries over 1,000 vectors of 512. The time
that it spends outside `VectorSearch.search` is compared with a bare Powertools resolver that
parses a body of the same size and returns one of the same size.
"""

import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from benchmarks.datasets import make_structured
from benchmarks.service import NAMESPACE, RETRIEVER, fill
from core.adapters.vectors_embedded import EmbeddedVectors

COUNT, DIMENSION, QUERIES, TURNS = 1_000, 512, 50, 41


class Context:
    """What Lambda hands a handler, with time enough."""

    function_name = "bench"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return half a minute."""
        return 30_000


class SearchClock:
    """Adds up the wall time spent in the engine's `search`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        search = EmbeddedVectors.search

        def timed(engine: EmbeddedVectors, *args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return search(engine, *args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        setattr(EmbeddedVectors, "search", timed)  # noqa: B010 - a method, replaced for timing


def main() -> None:
    """Measure both in turns, and print what came out."""
    data = make_structured(COUNT, DIMENSION, QUERIES)
    with tempfile.TemporaryDirectory() as folder:
        key = fill(Path(folder), data.vectors)
        os.environ["TRAWL_DATA_DIR"] = folder
        measure(make_event(key, data.queries.tolist()))


def make_event(key: str, queries: list[list[float]]) -> dict[str, Any]:
    """Return the event of an HTTP API for one batch."""
    path = f"/v1/retrievers/{RETRIEVER}/execute/batch"
    body = {"queries": [{"inputs": {"vector": query}} for query in queries], "concurrency": 20}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": f"Bearer {key}",
            "x-namespace": NAMESPACE,
            "content-type": "application/json",
        },
        "requestContext": {
            "stage": "$default",
            "requestId": "bench",
            "http": {"method": "POST", "path": path, "sourceIp": "127.0.0.1"},
        },
        "isBase64Encoded": False,
        "body": json.dumps(body),
    }


def bare_resolver(answer: Any) -> APIGatewayHttpResolver:
    """Return a resolver with one route that parses its body and returns `answer` as JSON."""
    resolver = APIGatewayHttpResolver()

    @resolver.post("/v1/retrievers/<retriever>/execute/batch")
    def batch(retriever: str) -> Response[str]:
        assert len(resolver.current_event.json_body["queries"]) == QUERIES, retriever
        return Response(200, "application/json", json.dumps(answer))

    return resolver


def measure(event: dict[str, Any]) -> None:
    """Time the handler without its search, and the bare resolver, in turns."""
    clock = SearchClock()
    context = Context()
    # The logger takes standard output as it finds it when it is made.
    with contextlib.redirect_stdout(io.StringIO()):
        from handlers.api import handler

        first = handler(event, context)
    assert first["statusCode"] == 200, first["body"][:500]
    answer = json.loads(first["body"])
    assert answer["status"] == "completed"
    resolver = bare_resolver(answer)
    outside, inside, bare = [], [], []
    for _ in range(TURNS):
        clock.seconds = 0.0
        started = time.perf_counter()
        # The handler's logs and metrics are written, as on Lambda, but not shown.
        with contextlib.redirect_stdout(io.StringIO()):
            handler(event, context)
        total = time.perf_counter() - started
        outside.append(1000 * (total - clock.seconds))
        inside.append(1000 * clock.seconds)
        started = time.perf_counter()
        resolver.resolve(event, context)
        bare.append(1000 * (time.perf_counter() - started))
    figures = {
        "outside search": statistics.median(outside),
        "in search": statistics.median(inside),
        "bare resolver": statistics.median(bare),
    }
    sizes = f"{len(event['body']):,} bytes in, {len(first['body']):,} bytes out"
    print(f"{QUERIES} queries over {COUNT:,} x {DIMENSION}; {sizes}")
    for name, value in figures.items():
        print(f"  {name:24}{value:10.2f} ms")
    ratio = figures["outside search"] / figures["bare resolver"]
    milliseconds = {name: round(value, 2) for name, value in figures.items()}
    print(json.dumps({"overhead_ratio": round(ratio, 2), "ms": milliseconds}))


if __name__ == "__main__":
    main()

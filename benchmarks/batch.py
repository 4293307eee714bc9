"""One batch of 50 against 50 single calls, over HTTP: run `python -m benchmarks.batch`.

The server is a process of its own on a data folder with 200,000 x 512 vectors; the client keeps
one connection. The same 50 queries go as one batch (concurrency 20) and as 50 executes, in turns.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.datasets import make_structured
from benchmarks.service import NAMESPACE, RETRIEVER, fill
from benchmarks.timing import interleave

COUNT, DIMENSION, QUERIES, TURNS = 200_000, 512, 50, 9


def main() -> None:
    """Fill a folder, serve it, measure, and print what came out."""
    data = make_structured(COUNT, DIMENSION, QUERIES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = fill(folder, data.vectors)
        server, port = start_server(folder)
        try:
            measure(port, key, data.queries.tolist())
        finally:
            server.terminate()
            server.wait()


def start_server(folder: Path) -> tuple["subprocess.Popen[str]", int]:
    """Start the local server on a free port, and return it with the port once it listens."""
    command = [sys.executable, "-u", "-m", "handlers.cli", "serve", "--port", "0"]
    server = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*command, "--data", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    for line in server.stdout:
        if "http://127.0.0.1:" in line:
            return server, int(line.split("http://127.0.0.1:", 1)[1].split("/")[0].split()[0])
    raise RuntimeError("the server ended before it said where it listens")


def measure(port: int, key: str, queries: list[list[float]]) -> None:
    """Time both ways in turns, check that they answer alike, print a table and the ratio."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {
        "Authorization": f"Bearer {key}",
        "X-Namespace": NAMESPACE,
        "Content-Type": "application/json",
    }
    inputs = [{"inputs": {"vector": query}} for query in queries]
    batch = orjson.dumps({"queries": inputs, "concurrency": 20})
    singles = [orjson.dumps({**query, "limit": 10}) for query in inputs]

    def post(path: str, body: bytes) -> bytes:
        connection.request("POST", f"/v1/retrievers/{RETRIEVER}/{path}", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data[:500]
        return data

    def run_batch() -> list[object]:
        return [r["documents"] for r in orjson.loads(post("execute/batch", batch))["results"]]

    def run_singles() -> list[object]:
        return [orjson.loads(post("execute", body))["documents"] for body in singles]

    assert run_batch() == run_singles()
    times = interleave({"one batch of 50": run_batch, "50 single executes": run_singles}, TURNS)
    print(f"{COUNT:,} x {DIMENSION}, k 10, over HTTP on a kept-alive connection")
    for name, value in times.items():
        print(f"  {name:24}{value:10.1f} ms")
    speedup = times["50 single executes"] / times["one batch of 50"]
    milliseconds = {name: round(value, 1) for name, value in times.items()}
    print(json.dumps({"batch_speedup": round(speedup, 2), "ms": milliseconds}))


if __name__ == "__main__":
    main()

"""A process under SnapStart: one snapshot, two copies of it that run at the same time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.app import build_app
from core.settings import Settings
from handlers import api
from tests.handlers.test_api import call, make_event

# Loads the handler as Lambda does, takes a snapshot (a process that forks is one, memory and
# all), and restores it twice: each copy renews itself, runs its part and says what it has.
_PROGRAM = """
import json, os, random, stat, sys, threading
from snapshot_restore_py import get_after_restore, get_before_snapshot
from handlers import api

class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self):
        return 29_000

def sockets():
    # The first three are the test's own.
    numbers = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return [n for n in numbers if os.path.exists(f"/proc/self/fd/{n}")
            and stat.S_ISSOCK(os.fstat(n).st_mode)]

for function, arguments, named in reversed(get_before_snapshot()):
    function(*arguments, **named)
held = {"threads": threading.active_count(), "sockets": sockets(),
        "app": api._app.cache_info().currsize, "loop": api._runner.cache_info().currsize}
loaded = set(sys.modules)

def copy(number):
    for function, arguments, named in get_after_restore():
        function(*arguments, **named)
    return {"random": random.random(), **part(number),
            "imported": sorted(set(sys.modules) - loaded)}

PART

print(json.dumps(held))
sys.stdout.flush()
for number in range(2):
    child = os.fork()
    if not child:
        said = json.dumps(copy(number))
        os.write(1, (said + "\\n").encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def snapshot(part: str, environment: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what the snapshot held, and what each of its two copies said."""
    done = subprocess.run(  # noqa: S603 - this interpreter, on this test's own program
        [sys.executable, "-W", "error", "-c", _PROGRAM.replace("PART", part)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    held, *copies = [line for line in lines if "threads" in line or "random" in line]
    assert len(copies) == 2
    return held, copies


@pytest.fixture
def batch(tmp_path: Path) -> tuple[Path, Any]:
    """A data folder with a retriever, and the event of a batch for it."""
    settings = Settings.local(tmp_path, {})
    app = build_app(settings)
    _, key = app.keys.create("test", "admin")
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "_settings", lambda: settings)
    patch.setattr(api, "_app", lambda: app)
    api._dispatcher.cache_clear()

    def send(path: str, body: Any) -> None:
        event = make_event("v2", "POST", path, body, key=key, namespace="n")
        status, answer, _ = call(event)
        assert status == 200, answer

    vectors = [{"name": "clip", "dimension": 2}]
    namespace = {"namespace_id": "n", "vector_configs": vectors}
    send("/v1/namespaces/standalone", namespace)
    document = {"document_id": "one", "vectors": {"clip": [1, 0]}, "payload": {"title": "A fox"}}
    send("/v1/namespaces/n/documents/upsert", {"documents": [document]})
    query = {"input_mode": "vector", "value": "{{INPUT.vector}}"}
    parameters = {"searches": [{"feature_uri": "clip", "query": query}]}
    stages = [
        {"stage_name": "s", "config": {"stage_id": "feature_search", "parameters": parameters}}
    ]
    send("/v1/retrievers", {"retriever_name": "r", "stages": stages})
    patch.undo()
    api._dispatcher.cache_clear()
    app.close()
    body = {"queries": [{"inputs": {"vector": [1, 0]}}]}
    event = make_event("v2", "POST", "/v1/retrievers/r/execute/batch", body, key=key, namespace="n")
    return tmp_path, event


def test_two_copies_answer_at_once_with_ids_of_their_own(batch: tuple[Path, Any]) -> None:
    folder, event = batch
    part = f"""
EVENT = json.loads({json.dumps(json.dumps(event))})
def part(number):
    answer = api.handler(EVENT, Context())
    body = json.loads(answer["body"])
    return {{"status": answer["statusCode"], "cold": body["timing"]["cold"],
             "ids": [body["batch_id"], body["results"][0]["execution_id"]],
             "tops": [one["document_id"] for one in body["results"][0]["documents"]]}}
"""
    held, (one, two) = snapshot(part, {"TRAWL_DATA_DIR": str(folder)})
    assert held == {"threads": 1, "sockets": [], "app": 0, "loop": 0}
    assert one["status"] == two["status"] == 200
    assert one["tops"] == two["tops"] == ["one"]
    assert not set(one["ids"]) & set(two["ids"])
    assert one["random"] != two["random"]
    assert one["cold"] is two["cold"] is True
    # What the first batch needs was in the snapshot.
    ours = [name for name in one["imported"] if name.startswith(("core.", "handlers."))]
    assert ours == []


def test_two_copies_have_the_credentials_that_each_was_started_with() -> None:
    part = """
def part(number):
    os.environ.update(AWS_ACCESS_KEY_ID=f"copy-{number}", AWS_SECRET_ACCESS_KEY="s")
    app = api._app()
    clients = [app.records._client(), app.buckets._client()]
    keys = [client._request_signer._credentials.access_key for client in clients]
    return {"keys": keys, "connected": len(sockets())}
"""
    names = {
        "TRAWL_TABLE": "a-table",
        "TRAWL_MEDIA_FUNCTION": "a-function",
        "TRAWL_VECTOR_BUCKET": "a-vector-bucket",
        "TRAWL_JOB_STATE_MACHINE": "arn:aws:states:eu-west-1:123456789012:stateMachine:jobs",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    buckets = {f"TRAWL_{kind}_BUCKET": kind.lower() for kind in ("ASSETS", "INDEX", "RESULTS")}
    held, copies = snapshot(part, {**names, **buckets, "AWS_ACCESS_KEY_ID": "snapshot"})
    assert held == {"threads": 1, "sockets": [], "app": 0, "loop": 0}
    assert [copy["keys"] for copy in copies] == [["copy-0"] * 2, ["copy-1"] * 2]
    for copy in copies:
        assert not [name for name in copy["imported"] if name.startswith(("boto", "core."))]


def test_a_snapshot_of_a_wrong_deployment_is_not_taken() -> None:
    """The deploy fails, not the first request."""
    with pytest.raises(AssertionError, match="TRAWL_CACHE_MB"):
        snapshot("part = dict", {"TRAWL_DATA_DIR": "/nowhere", "TRAWL_CACHE_MB": "much"})

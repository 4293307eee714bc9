"""The Lambda handler, on events as API Gateway sends them (REST: v1, HTTP: v2)."""

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.app import build_app
from core.models.answers import ErrorAnswer
from core.models.responses import BatchAnswer
from core.settings import Settings
from handlers import api
from handlers.http.messages import ApiResponse

EVENTS = Path(__file__).parents[1] / "events"
Send = Callable[..., Any]


class Context:
    """What the handler asks of a Lambda context."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    function_name = "trawl-api"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:trawl-api"

    def __init__(self, remaining_ms: int = 29_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left."""
        return self.remaining_ms


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The handler over an empty data folder; the text of an admin key."""
    settings = Settings.local(tmp_path_factory.mktemp("lambda"), {})
    app = build_app(settings)
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "_settings", lambda: settings)
    patch.setattr(api, "_app", lambda: app)
    api._dispatcher.cache_clear()
    _, text = app.keys.create("test", "admin")
    yield text
    patch.undo()
    api._dispatcher.cache_clear()
    app.close()


def load_event(version: str) -> Any:
    """Return a real event of that format."""
    return json.loads((EVENTS / f"api_gateway_{version}.json").read_text())


def make_event(
    version: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    namespace: str | None = None,
    query: str = "",
) -> Any:
    """Return an event of that format for one call."""
    event = load_event(version)
    headers = {"Authorization": f"Bearer {key}", "X-Namespace": namespace}
    given = {name: value for name, value in headers.items() if value}
    event["headers"].update(given)
    if body is not None:
        event["body"] = json.dumps(body)
    if version == "v1":
        event.update(path=path, httpMethod=method)
        event["multiValueHeaders"].update({name: [value] for name, value in given.items()})
        pairs = [part.split("=") for part in query.split("&") if part]
        event["queryStringParameters"] = dict(pairs) or None
        event["multiValueQueryStringParameters"] = {n: [v] for n, v in pairs} or None
    else:
        event.update(rawPath=path, rawQueryString=query)
        event["requestContext"]["http"].update(method=method, path=path)
    return event


def call(event: Any, context: Context | None = None) -> tuple[int, Any, dict[str, str]]:
    """Return status, parsed body and headers of the handler's answer to an event."""
    answer = api.handler(event, context or Context())
    headers = answer.get("headers") or {n: v[0] for n, v in answer["multiValueHeaders"].items()}
    body = answer["body"]
    if answer["isBase64Encoded"]:
        body = base64.b64decode(body)
    return answer["statusCode"], json.loads(body), headers


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_health_is_answered_from_the_real_event(version: str, key: str) -> None:
    status, body, headers = call(load_event(version))
    assert (status, body) == (200, {"status": "ok"})
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-Id"] == Context.aws_request_id


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_journey_to_a_batch(
    version: str,
    key: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def send(method: str, path: str, body: Any = None, **options: Any) -> Any:
        event = make_event(version, method, path, body, key=key, **options)
        status, answer, _ = call(event)
        assert status == 200, answer
        return answer

    name = f"space-{version}"
    vectors = [{"name": "clip", "dimension": 2}]
    send("POST", "/v1/namespaces/standalone", {"namespace_id": name, "vector_configs": vectors})
    document = {"document_id": "one", "vectors": {"clip": [1, 0]}}
    send("POST", f"/v1/namespaces/{name}/documents/upsert", {"documents": [document]})
    query = {"input_mode": "vector", "value": "{{INPUT.vector}}"}
    parameters = {"searches": [{"feature_uri": "clip", "query": query}]}
    stage = {"stage_name": "s", "config": {"stage_id": "feature_search", "parameters": parameters}}
    send("POST", "/v1/retrievers", {"retriever_name": "r", "stages": [stage]}, namespace=name)
    capsys.readouterr()
    batch = {"queries": [{"inputs": {"vector": [1, 0]}}, {"inputs": {}}]}
    answer = send(
        "POST", "/v1/retrievers/r/execute/batch", batch, query=f"namespace={name}&return_vectors=1"
    )
    BatchAnswer.model_validate(answer)
    assert answer["results"][0]["documents"][0]["clip"] == [1, 0]
    [metrics] = [json.loads(line) for line in metric_lines(capsys)]
    failed, said = (vars(record) for record in caplog.records[-2:])
    assert (said["batch_id"], said["queries"]) == (answer["batch_id"], 2)
    assert "vector" not in str(said)
    assert metrics["QueriesCompleted"] == [1]
    assert metrics["QueriesFailed"] == [1]
    assert metrics["operation"] == "execute_batch"
    assert metrics["PlanCacheMiss"] == [1]
    assert metrics["ImageCacheMiss"] == [1]
    # One line for what failed: whose, why, whose fault; and nothing of what was asked.
    result = answer["results"][1]
    assert failed["message"] == "query failed"
    assert failed["execution_id"] == result["execution_id"]
    assert failed["batch_id"] == answer["batch_id"]
    assert (failed["code"], failed["blame"]) == (result["error"]["code"], "caller")
    assert result["error"]["message"] not in str(failed)
    stream = send_stream(make_event(
        version, "POST", "/v1/retrievers/r/execute/batch", {**batch, "stream": True},
        key=key, namespace=name,
    ))  # fmt: skip
    assert [event["event_type"] for event in stream] == ["query_complete"] * 2 + ["batch_complete"]


def metric_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that CloudWatch reads metrics from."""
    return [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]


def test_each_request_sends_its_metrics_once(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    api._runner().close()
    api._runner.cache_clear()
    capsys.readouterr()
    call(load_event("v2"))
    [first] = map(json.loads, metric_lines(capsys))
    call(make_event("v2", "GET", "/v1/nothing"))
    [second] = map(json.loads, metric_lines(capsys))
    assert (first["Requests"], first["ColdStart"]) == ([1], [1])
    assert "ColdStart" not in second
    assert second["ClientErrors"] == [1]
    for line in (first, second):
        assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["operation", "service"]]


@pytest.fixture
def pages(key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An origin whose pages may call the API behind a REST gateway."""
    settings = replace(api._settings(), cors_origins=("https://a.example", "https://b.example"))
    monkeypatch.setattr(api, "_settings", lambda: settings)
    api._resolver.cache_clear()
    yield "https://b.example"
    api._resolver.cache_clear()


def test_a_page_that_may_call_reads_answers_and_errors(key: str, pages: str) -> None:
    for path, expected in (("/v1/health", 200), ("/v1/nothing", 404), ("/v1/namespaces", 401)):
        event = make_event("v1", "GET", path)
        event["multiValueHeaders"]["Origin"] = [pages]
        status, _, headers = call(event)
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, pages)


def test_a_preflight_is_answered_to_those_who_may_call(key: str, pages: str) -> None:
    event = make_event("v1", "OPTIONS", "/v1/retrievers")
    for origin, allowed in ((pages, [pages]), ("https://evil.example", [])):
        event["multiValueHeaders"]["Origin"] = [origin]
        event["headers"]["Origin"] = origin
        answer = api.handler(event, Context())
        headers = answer["multiValueHeaders"]
        assert (answer["statusCode"], answer["body"]) == (204, "")
        assert headers.get("Access-Control-Allow-Origin", []) == allowed
        assert "POST" in headers["Access-Control-Allow-Methods"][0]
        if allowed:
            assert "Authorization" in headers["Access-Control-Allow-Headers"][0]
            assert "X-Namespace" in headers["Access-Control-Allow-Headers"][0]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_page_may_call_unless_it_is_named(version: str, key: str) -> None:
    event = make_event(version, "GET", "/v1/health")
    event["headers"]["Origin"] = "https://a.example"
    assert not [name for name in call(event)[2] if name.lower().startswith("access-control")]


def send_stream(event: Any) -> list[Any]:
    """Return the events in the answer to an event."""
    body = api.handler(event, Context())["body"]
    frames = [frame for frame in body.split("\n\n") if frame]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_body_in_base64_is_the_same_body(version: str, key: str) -> None:
    event = make_event(version, "POST", "/v1/namespaces/list", {"search": "no-such"}, key=key)
    event["body"] = base64.b64encode(event["body"].encode()).decode()
    event["isBase64Encoded"] = True
    assert call(event)[1]["results"] == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_missing_body_is_an_empty_one(version: str, key: str) -> None:
    event = make_event(version, "POST", "/v1/namespaces/standalone", key=key)
    event.pop("body", None)
    assert call(event)[0] == 200


@pytest.mark.parametrize(
    ("version", "path", "stage"),
    [
        ("v1", "/prod/v1/health", "prod"),
        ("v1", "/scan/v1/health", "prod"),
        ("v2", "/prod/v1/health", "prod"),
        ("v2", "/v1/health", "prod"),  # behind a custom domain the stage is not in the path
        ("v2", "/v1/health", "$default"),
    ],
)
def test_a_stage_or_base_path_before_the_path(
    version: str, path: str, stage: str, key: str
) -> None:
    event = make_event(version, "GET", path)
    event["requestContext"]["stage"] = stage
    assert call(event)[0] == 200


def test_headers_in_any_case_and_several_values(key: str) -> None:
    event = make_event("v1", "GET", "/v1/namespaces")
    event["headers"] = None
    event["multiValueHeaders"] = {"authorization": [f"Bearer {key}", "Bearer other"]}
    assert call(event)[0] == 200
    event = make_event("v1", "GET", "/v1/namespaces", key=key)
    event["multiValueHeaders"] = None
    assert call(event)[0] == 200


def test_a_comma_in_a_query_value_is_one_value(key: str) -> None:
    event = make_event("v2", "GET", "/v1/namespaces", key=key, query="search=a%2Cb&limit=5")
    event["queryStringParameters"] = {"search": "a,b", "limit": "5"}
    assert call(event)[1]["pagination"]["page_size"] == 5


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_errors_have_the_envelope(version: str, key: str) -> None:
    for method, path, expected in (
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/health", 405),
        ("GET", "/v1/namespaces", 401),
    ):
        status, body, _ = call(make_event(version, method, path))
        ErrorAnswer.model_validate(body)
        assert status == body["status"] == expected


def test_the_deadline_is_the_functions_less_the_reserve(key: str) -> None:
    request = api.read_event(load_event("v2"), Context(remaining_ms=10_000))
    assert 8.0 < request.deadline.remaining() <= 8.5
    late = api.read_event(load_event("v2"), Context(remaining_ms=100))
    assert late.deadline.remaining() == 0


def test_no_time_left_is_an_answer_and_no_crash(key: str) -> None:
    event = make_event("v2", "GET", "/v1/health")
    assert call(event, Context(remaining_ms=0))[0] == 200


def answer_of(body: bytes) -> Any:
    """Return what the handler makes of an answer of that body."""
    response = ApiResponse(200, body, {"Content-Type": "application/json"})
    request = api.read_event(load_event("v2"), Context())
    api._bound(response, request)
    return api._to_powertools(response), response


def test_an_answer_that_escaping_makes_too_large_goes_out_in_base64(key: str) -> None:
    body = b'["' + b'\\"' * 1_700_000 + b'"]'  # 3.4 MB, but 10 MB as a string within JSON
    sent, response = answer_of(body)
    assert isinstance(sent.body, bytes)
    assert response.body == body
    assert len(base64.b64encode(sent.body)) < 6_291_556


def test_an_answer_past_lambdas_limit_is_an_error_that_says_so(key: str) -> None:
    _, response = answer_of(b'"' + b"a" * 7_000_000 + b'"')
    body = json.loads(response.body)
    assert (response.status, body["error"]["code"]) == (422, "answer_too_large")


def test_events_are_left_as_they_came(key: str) -> None:
    event = make_event("v2", "GET", "/v1/namespaces", key=key)
    before = copy.deepcopy(event)
    call(event)
    assert event == before


def test_health_loads_neither_the_engine_nor_a_client_of_aws() -> None:
    program = (
        "import json, sys\n"
        "from handlers.api import handler\n"
        f"event = json.load(open({str(EVENTS / 'api_gateway_v2.json')!r}))\n"
        "class C:\n"
        "    aws_request_id = 'r'\n"
        "    def get_remaining_time_in_millis(self): return 1000\n"
        "assert handler(event, C())['statusCode'] == 200\n"
        "heavy = {'boto3', 'pydantic', 'core.app', 'core.engine', 'starlette', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603 -- this interpreter, on this test's own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={"TRAWL_DATA_DIR": "/nowhere", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1] == "[]"

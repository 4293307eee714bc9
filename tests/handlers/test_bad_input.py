"""Whatever arrives, the answer says what is wrong and where, and nothing is half done."""

from typing import Any

import pytest

from core.models.answers import ErrorAnswer
from tests.servers import Client, Server

SEARCH = {
    "feature_uri": "clip",
    "query": {"input_mode": "vector", "value": "{{INPUT.vector}}"},
}


def stage(parameters: dict[str, Any] | None = None, stage_id: str = "feature_search") -> Any:
    """Return one stage; its label is its id."""
    if parameters is None:
        parameters = {"searches": [SEARCH]}
    return {"stage_name": stage_id, "config": {"stage_id": stage_id, "parameters": parameters}}


@pytest.fixture(scope="module")
def space(server: Server) -> Client:
    """A namespace with one document and one retriever."""
    client = server.new_namespace(vector_configs=[{"name": "clip", "dimension": 2}])
    upsert(client, {"document_id": "one", "vectors": {"clip": [1, 0]}})
    client.ok("POST", "/v1/retrievers", {"retriever_name": "nearest", "stages": [stage()]})
    return client


def upsert(client: Client, *documents: Any) -> Any:
    """Store documents in the client's namespace."""
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    return client.ok("POST", path, {"documents": list(documents)})


def refuse(response: Any, status: int, error_type: str = "ValidationError") -> list[Any]:
    """Assert that a response is an error envelope; return its problems."""
    assert response.status_code == status, response.text
    body = response.json()
    ErrorAnswer.model_validate(body)
    assert (body["status"], body["error"]["type"]) == (status, error_type)
    problems: list[Any] = body["error"].get("details", {}).get("validation_errors", [])
    return problems


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"document_id": "x", "vectors": {"clip": [1, 2, 3]}}, "documents.1.vectors.clip"),
        ({"document_id": "x", "vectors": {"clip": [1, "2"]}}, "documents.1.vectors.clip"),
        ({"document_id": "x", "vectors": {"clip": [1, 1e300]}}, "documents.1.vectors.clip"),
        ({"document_id": "x", "vectors": {"other": [1, 2]}}, "documents.1.vectors.other"),
        ({"document_id": "x", "vectors": {"clip": [[1, 2]]}}, "documents.1.vectors.clip"),
        ({"document_id": "good"}, "documents.1.document_id"),
        ({"document_id": ""}, "documents.1.document_id"),
        ({"document_id": "x", "vektors": {}}, "documents.1.vektors"),
        ({"document_id": "x", "content": "data:,x"}, "documents.1.content"),
    ],
)
def test_one_bad_document_stores_none(space: Client, document: Any, path: str) -> None:
    good = {"document_id": "good", "vectors": {"clip": [0, 1]}}
    response = space.post(
        f"/v1/namespaces/{space.namespace}/documents/upsert", {"documents": [good, document]}
    )
    assert path in [problem["path"] for problem in refuse(response, 422)]
    assert space.get("/v1/collections/default/documents/good").status_code == 404


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_has_not_are_no_json(space: Client, literal: str) -> None:
    body = f'{{"documents": [{{"document_id": "x", "vectors": {{"clip": [1, {literal}]}}}}]}}'
    path = f"/v1/namespaces/{space.namespace}/documents/upsert"
    refuse(space.post(path, content=body), 400, "BadRequestError")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"queries": [}', 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"[" * 5000 + b"]" * 5000, 422),
        (b'{"queries": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        (b'{"queries": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", 422),
    ],
)
def test_bodies_that_are_no_request(space: Client, content: bytes, status: int) -> None:
    kind = "BadRequestError" if status == 400 else "ValidationError"
    refuse(space.post("/v1/retrievers/nearest/execute/batch", content=content), status, kind)


def test_an_unknown_key_is_named_with_those_accepted(space: Client) -> None:
    query: Any = {"inputs": {}, "filter": {}}
    body = {"queries": [query], "settings": {"limits": 3}, "concurency": 4}
    response = space.post("/v1/retrievers/nearest/execute/batch", body)
    problems = {problem["path"]: problem for problem in refuse(response, 422)}
    assert set(problems) == {"queries.0.filter", "settings.limits", "concurency"}
    assert "concurrency" in problems["concurency"]["accepted"]
    assert problems["settings.limits"]["type"] == "extra_forbidden"


def test_an_unknown_query_parameter_is_refused_as_an_unknown_key_is(space: Client) -> None:
    response = space.get("/v1/collections/default/documents/one?return_vector=true")
    [problem] = refuse(response, 422)
    assert problem["path"] == "query.return_vector"
    assert "return_vectors" in problem["accepted"]


@pytest.mark.parametrize(("count", "limits"), [(51, {"max_queries": 50}), (0, None)])
def test_a_batch_of_too_many_or_none(space: Client, count: int, limits: Any) -> None:
    body = {"queries": [{"inputs": {"vector": [1, 0]}}] * count}
    response = space.post("/v1/retrievers/nearest/execute/batch", body)
    refuse(response, 422)
    assert response.json()["error"]["details"].get("limits") == limits


def test_an_upsert_of_too_many_documents(space: Client) -> None:
    documents = [{"document_id": str(i)} for i in range(1001)]
    path = f"/v1/namespaces/{space.namespace}/documents/upsert"
    response = space.post(path, {"documents": documents})
    refuse(response, 422)
    assert response.json()["error"]["details"]["limits"] == {"max_documents": 1000}


def test_every_fault_of_a_retriever_is_named_at_once(space: Client) -> None:
    search = {**SEARCH, "top_k": 0, "feature_uri": "nothing"}
    stages = [
        stage({"searches": [search]}),
        stage({"limit": -1}, "limit"),
        stage({}, "no_such_stage"),
    ]
    response = space.post("/v1/retrievers", {"retriever_name": "broken", "stages": stages})
    paths = " ".join(problem["path"] for problem in refuse(response, 422))
    assert "stages.0.config.parameters.searches.0.top_k" in paths
    assert "stages.1.config.parameters.limit" in paths
    assert "stages.2" in paths
    assert space.get("/v1/retrievers/broken").status_code == 404


def test_a_template_with_an_undefined_name_fails_its_query_alone(space: Client) -> None:
    body = {"queries": [{"inputs": {}}, {"inputs": {"vector": [1, 0]}}]}
    answer = space.ok("POST", "/v1/retrievers/nearest/execute/batch", body)
    assert [result["status"] for result in answer["results"]] == ["failed", "completed"]
    assert "vector" in answer["results"][0]["error"]["message"]


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "name", "operator": "regex", "value": "(a+)+\\1"},
        {"field": "name", "operator": "no_such", "value": 1},
        {"AND": [{"field": "name", "operator": "in", "value": 3}]},
    ],
)
def test_bad_filters_are_refused(space: Client, filters: Any) -> None:
    refuse(space.post("/v1/collections/default/documents/list", {"filters": filters}), 422)
    answer = space.ok(
        "POST",
        "/v1/retrievers/nearest/execute/batch",
        {"queries": [{"inputs": {"vector": [1, 0]}, "filters": filters}]},
    )
    assert answer["results"][0]["error"]["blame"] == "caller"


def test_a_filter_nested_a_thousand_deep(space: Client) -> None:
    deep = '{"NOT": [' * 1000 + '{"field": "name", "value": 1}' + "]}" * 1000
    body = f'{{"filters": {deep}}}'
    refuse(space.post("/v1/collections/default/documents/list", content=body), 422)


def test_a_regular_expression_bomb_is_harmless(space: Client) -> None:
    upsert(space, {"document_id": "long", "payload": {"name": "a" * 30_000}})
    bomb = {"field": "name", "operator": "regex", "value": "^(a+)+$b"}
    answer = space.ok("POST", "/v1/collections/default/documents/list", {"filters": bomb})
    assert answer["results"] == []


@pytest.mark.parametrize("path", ["/v1/nothing", "/v2/health", "/v1", "/v1/retrievers/a/b/c/d"])
def test_paths_that_are_not_there(space: Client, path: str) -> None:
    refuse(space.get(path), 404, "NotFoundError")


def test_a_method_that_is_not_allowed_tells_those_that_are(space: Client) -> None:
    response = space.send("PUT", "/v1/retrievers/nearest")
    refuse(response, 405, "MethodNotAllowedError")
    assert response.headers["Allow"] == "DELETE, GET, PATCH"


def test_a_compressed_body_is_not_taken_for_json(space: Client) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = space.post("/v1/retrievers/list", content=b"\x1f\x8b", headers=headers)
    refuse(response, 422)


def test_deleting_by_a_filter_that_says_nothing_deletes_nothing(space: Client) -> None:
    path = "/v1/collections/default/documents/batch"
    nothings: list[Any] = [{}, {"AND": []}, []]
    for filters in nothings:
        refuse(space.send("DELETE", path, {"filters": filters}), 422)
    assert space.get("/v1/collections/default/documents/one").status_code == 200


@pytest.mark.parametrize("name", ["x" * 5000, "a%00b", "%F0%9F%A6%88" * 300, "%2F", "%FF"])
@pytest.mark.parametrize("kind", ["retrievers", "collections", "namespaces"])
def test_a_name_that_nothing_can_have_is_not_found(space: Client, kind: str, name: str) -> None:
    refuse(space.get(f"/v1/{kind}/{name}"), 404, "NotFoundError")


def test_a_namespace_that_nothing_can_have_is_not_found(space: Client) -> None:
    refuse(space.within("x" * 3000).get("/v1/collections"), 404, "NotFoundError")


def test_no_key_has_a_name_that_none_can_have(space: Client) -> None:
    users = "/v1/organizations/users/me%40example.com/api-keys"
    refuse(space.send("DELETE", f"{users}/{'x' * 5000}"), 404, "NotFoundError")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_date_that_is_none_in_utc_is_refused(space: Client, moment: str) -> None:
    body = {"name": "far", "permissions": ["read"], "expires_at": moment}
    response = space.post("/v1/organizations/users/me%40example.com/api-keys", body)
    (problem,) = refuse(response, 422)
    assert problem["path"] == "expires_at"


def test_a_retriever_whose_collection_was_deleted_says_so_everywhere(space: Client) -> None:
    named = {"collection_name": "doomed", "vector_configs": [{"name": "clip", "dimension": 2}]}
    gone = space.ok("POST", "/v1/collections", named)["collection_id"]
    body = {"retriever_name": "orphan", "stages": [stage()], "collection_ids": ["doomed"]}
    space.ok("POST", "/v1/retrievers", body)
    space.ok("DELETE", "/v1/collections/doomed")
    query = {"inputs": {"vector": [1, 0]}}
    for path, sent in [
        ("execute", query),
        ("execute/batch", {"queries": [query]}),
        ("execute/explain", {}),
        ("clone", {"retriever_name": "copy"}),
    ]:
        response = space.post(f"/v1/retrievers/orphan/{path}", sent)
        refuse(response, 404, "NotFoundError")
        message = response.json()["error"]["message"]
        assert message == f"collection of this retriever not found: {gone}"
    mended = space.send(
        "PATCH", "/v1/retrievers/orphan", {"collection_identifiers": ["default"]}
    ).json()
    assert mended["retriever"]["version"] == 2
    space.ok("POST", "/v1/retrievers/orphan/execute", query)


def test_sizes_that_contradict_each_other_are_told(space: Client) -> None:
    query = {"inputs": {"vector": [1, 0]}, "limit": 3, "settings": {"limit": 2}}
    answer = space.ok("POST", "/v1/retrievers/nearest/execute", query)
    assert "settings.limit 2 is not used: the page asked for has 3" in answer["warnings"]
    paged = {**query, "pagination": {"method": "offset", "page_size": 2}}
    answer = space.ok("POST", "/v1/retrievers/nearest/execute", paged)
    assert [w for w in answer["warnings"] if "is not used" in w] == [
        "limit 3 is not used: the page asked for has 2"
    ]


def test_head_is_a_get_without_its_body(space: Client) -> None:
    for path in ("/v1/health", "/docs", "/v1/retrievers/nearest"):
        response = space.send("HEAD", path)
        assert (response.status_code, response.content) == (200, b"")
    assert space.send("HEAD", "/v1/retrievers/absent").status_code == 404

"""Who keeps a collection's vectors, over HTTP on a laptop."""

from typing import Any

import pytest

from core.models.answers import ErrorAnswer
from core.models.resource_answers import CollectionAnswer
from tests.servers import Server

VECTORS = [{"name": "v", "dimension": 4}]


def test_the_embedded_engine_is_the_default_and_is_told(server: Server) -> None:
    client = server.new_namespace()
    made = client.ok("POST", "/v1/collections", {"collection_name": "plain"})
    assert (made["engine"], made["filterable_fields"]) == ("embedded", [])
    read = client.ok("GET", f"/v1/collections/{made['collection_id']}")
    assert CollectionAnswer.model_validate(read).engine == "embedded"


def test_an_engine_that_is_not_set_up_is_refused_with_what_to_set(server: Server) -> None:
    body = {"collection_name": "far", "engine": "s3vectors", "vector_configs": VECTORS}
    client = server.new_namespace()
    response = client.post("/v1/collections", body)
    assert response.status_code == 422
    ErrorAnswer.model_validate(response.json())
    [problem] = response.json()["error"]["details"]["validation_errors"]
    assert problem["path"] == "engine"
    assert "s3vectors=true" in problem["message"]
    assert "TRAWL_VECTOR_BUCKET" in problem["message"]
    names = [c["collection_name"] for c in client.ok("GET", "/v1/collections")["results"]]
    assert "far" not in names


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"engine": "pinecone"}, "engine"),
        ({"engine": "s3vectors", "filterable_fields": ["a"] * 9}, "filterable_fields"),
        ({"filterable_fields": ["brand"]}, "filterable_fields"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], path: str, server: Server) -> None:
    client = server.new_namespace()
    body = {"collection_name": "far", "vector_configs": VECTORS, **change}
    response = client.post("/v1/collections", body)
    assert response.status_code == 422
    problems = response.json()["error"]["details"]["validation_errors"]
    assert [problem["path"] for problem in problems] == [path]

"""Whatever the OpenAPI document allows, and much that it forbids, never brings forth a 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from handlers.http.openapi import build_document
from tests.servers import Server

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
# In each example these stand for themselves, so that calls reach what lies behind a 404.
KNOWN = {
    "namespace": "fuzz",
    "collection": "default",
    "retriever": "nearest",
    "document_id": "one",
}
STAGE = {
    "stage_name": "search",
    "config": {
        "stage_id": "feature_search",
        "parameters": {
            "searches": [
                {
                    "feature_uri": "clip",
                    "query": {"input_mode": "vector", "value": "{{INPUT.vector}}"},
                }
            ]
        },
    },
}

schema = schemathesis.openapi.from_dict(build_document())


@pytest.fixture(scope="module")
def fuzzed(server: Server) -> Server:
    """Give every operation something to work on."""
    admin = server.admin.within("fuzz")
    vectors = [{"name": "clip", "dimension": 2}]
    body = {"namespace_id": "fuzz", "vector_configs": vectors}
    admin.ok("POST", "/v1/namespaces/standalone", body)
    document = {"document_id": "one", "vectors": {"clip": [1, 0]}, "payload": {"brand": "acme"}}
    admin.ok("POST", "/v1/namespaces/fuzz/documents/upsert", {"documents": [document]})
    retriever = {"retriever_name": "nearest", "stages": [STAGE]}
    admin.ok("POST", "/v1/retrievers", retriever)
    return server


@schema.parametrize()
@settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_operation_fails_on_our_side(case: Any, fuzzed: Server) -> None:
    destructive = case.method == "DELETE" or case.operation.path.endswith("/clone")
    if not destructive:
        case.path_parameters = {**(case.path_parameters or {}), **_known(case)}
    headers = {"Authorization": f"Bearer {fuzzed.running.admin_key}", "X-Namespace": "fuzz"}
    case.headers = {
        **{name: value for name, value in (case.headers or {}).items()
           if name.lower() not in ("x-namespace", "authorization")},
        **headers,
    }  # fmt: skip
    case.query = {n: v for n, v in (case.query or {}).items() if n != "namespace"}
    case.call_and_validate(base_url=fuzzed.base_url, checks=list(CHECKS), timeout=30)


def _known(case: Any) -> dict[str, str]:
    names = case.path_parameters or {}
    return {name: value for name, value in KNOWN.items() if name in names}

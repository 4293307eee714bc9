"""The OpenAPI 3.1 document: made from the table of routes and the models, never written by hand.

`python -m handlers.http.openapi --check docs/openapi.json` compares, `--write` renews.
"""

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from core.models.answers import ErrorAnswer
from core.types import JsonObject
from handlers.http.route import Param, Route, load
from handlers.http.routes import ROUTES

VERSION: Final = "0.1.0"
_REF: Final = "#/components/schemas/{model}"
_TYPES: Final = {"string": "string", "integer": "integer", "boolean": "boolean"}
# With `stream: true`; `data` is JSON with an `event_type`.
_EVENT: Final = {
    "type": "object",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
_DESCRIPTION: Final = (
    "Run a stored search pipeline (a retriever) against up to 50 queries in one call. "
    "Every query is answered, in order; a failure of one never touches another; "
    "`evidence` says what a result without documents rests on."
)
_ERRORS: Final = {
    400: "The body cannot be read.",
    401: "No valid API key.",
    403: "The key does not allow this.",
    404: "There is no such thing in this namespace.",
    408: "Time ran out.",
    409: "A name is taken, or another writer was faster.",
    413: "The body is too large.",
    422: "The request is wrong; `details.validation_errors` names every fault.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "Our fault; the request id finds it in the log.",
    501: "An optional library is not installed here.",
    503: "A store did not answer; `Retry-After` says when to come back.",
}


@cache
def build_document() -> JsonObject:
    """Return the document. Built once per process, and only if it is asked for."""
    bodies = {route.body for route in ROUTES if route.body not in (None, "object")}
    answers = {model for route in ROUTES for model in (route.answer, route.accepted) if model}
    inputs = [(load(reference), "validation") for reference in sorted(filter(None, bodies))]
    outputs = [(load(reference), "serialization") for reference in sorted(answers)]
    models: list[Any] = [*inputs, *outputs, (ErrorAnswer, "serialization")]
    references, definitions = models_json_schema(models, ref_template=_REF)
    names = {model: schema["$ref"] for (model, _), schema in references.items()}
    paths: JsonObject = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trawl", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "sk_<id>_<secret>"}
            },
        },
    }


def render_document() -> str:
    """Return the document as it is committed: keys sorted, so that diffs are small."""
    return json.dumps(build_document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _operation(route: Route, names: dict[Any, str]) -> JsonObject:
    operation: JsonObject = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": _parameters(route),
        "responses": _responses(route, names),
    }
    if route.scope == "open":
        operation["security"] = []
    else:
        operation["description"] = f"Needs a key with permission `{route.permission}`."
    if route.body is not None and route.method != "GET":
        model = None if route.body == "object" else route.body_model()
        schema = {"type": "object"} if model is None else {"$ref": names[model]}
        operation["requestBody"] = {
            "required": model is None or bool(_required(model)),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _required(model: Any) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _tag(route: Route) -> str:
    return route.function.partition(":")[0].rpartition(".")[2]


def _parameters(route: Route) -> list[JsonObject]:
    parameters: list[JsonObject] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.variables
    ]
    if route.scope == "namespace":
        parameters.append(
            {
                "name": "X-Namespace",
                "in": "header",
                "required": False,
                "description": "Namespace id or name; not needed with a key of exactly one.",
                "schema": {"type": "string"},
            }
        )
        parameters.append(_query_parameter(Param("namespace", description="In place of it.")))
    return [*parameters, *map(_query_parameter, route.query)]


def _query_parameter(param: Param) -> JsonObject:
    return {
        "name": param.name,
        "in": "query",
        "required": False,
        "description": param.description,
        "schema": {"type": _TYPES[param.kind]},
    }


def _responses(route: Route, names: dict[Any, str]) -> JsonObject:
    schema: JsonObject = {}
    if route.answer is not None:
        schema = {"$ref": names[load(route.answer)]}
    media = "text/html" if route.path == "/docs" else "application/json"
    content: JsonObject = {media: {"schema": schema}}
    if route.streams:
        content["text/event-stream"] = {"schema": _EVENT}
    responses: JsonObject = {"200": {"description": "Done.", "content": content}}
    if route.accepted is not None:
        schema = {"$ref": names[load(route.accepted)]}
        begun = {"description": "Begun.", "content": {"application/json": {"schema": schema}}}
        # Without an answer of its own it is never done at once.
        responses = {"202": begun} if route.answer is None else {**responses, "202": begun}
    error = {"application/json": {"schema": {"$ref": names[ErrorAnswer]}}}
    for status, description in _ERRORS.items():
        if route.scope != "open" or status in (422, 500):
            responses[str(status)] = {"description": description, "content": error}
    return responses


def main(arguments: list[str] | None = None) -> int:
    """Compare the committed document with the code's, or renew it; 1 if they differ."""
    parser = argparse.ArgumentParser(description="The OpenAPI document of this API.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", type=Path, metavar="FILE")
    action.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    text = render_document()
    if options.write is not None:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(text, encoding="utf-8")
        return 0
    committed = options.check.read_text(encoding="utf-8") if options.check.exists() else ""
    if committed == text:
        return 0
    sys.stderr.write(
        f"{options.check} is not what the code says; renew it with\n"
        f"  python -m handlers.http.openapi --write {options.check}\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())

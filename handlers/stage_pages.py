"""`docs/stages.md`, made from the stages' own parameters, so that the two cannot differ.

`python -m handlers.stage_pages --write docs/stages.md` renews it; `--check` compares.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from core.catalog.stage_catalogue import describe_stages
from core.filtering.predicates import OPERATORS

_HEAD: Final = """# Stages

Made from the code by `python -m handlers.stage_pages --write docs/stages.md`; do not edit.
`GET /v1/retrievers/stages` answers with the same, as JSON schemas.

A stage stands in a retriever as
`{"stage_name": "any label", "config": {"stage_id": "limit", "parameters": {"limit": 5}}}`.
Beside `parameters` a config takes `pre_filters` and `post_filters`. An unknown parameter is an
error that names the known ones.
"""
_BOUNDS: Final = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxLength": "up to {} characters",
}

Schema = Mapping[str, Any]


def render_page() -> str:
    """Return the page."""
    stages = describe_stages()
    rows = [
        f"| [{stage['stage_id']}](#{stage['stage_id']}) | {stage['category']} "
        f"| {stage['description']} |"
        for stage in stages
    ]
    lines = [_HEAD, "| stage | category | what it does |", "|---|---|---|", *rows]
    for stage in stages:
        lines += ["", *_describe(stage)]
    lines += ["", *_filters()]
    return "\n".join(lines) + "\n"


def _describe(stage: Schema) -> Iterator[str]:
    schema = stage["parameter_schema"]
    yield f"## {stage['stage_id']}"
    yield ""
    yield stage["description"]
    about = schema.get("description")
    if about and about != stage["description"]:
        yield ""
        yield _one_line(about)
    yield ""
    yield from _table(schema)
    for name, inner in schema.get("$defs", {}).items():
        if "properties" not in inner:
            continue
        yield ""
        yield f"**{name}** {_one_line(inner.get('description', ''))}".rstrip()
        yield ""
        yield from _table(inner)


def _table(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    if not schema.get("properties"):
        yield "No parameters."
        return
    yield "| parameter | type | default | |"
    yield "|---|---|---|---|"
    for name, inner in schema["properties"].items():
        default = "required" if name in required else _code(inner.get("default"))
        if name not in required and "default" not in inner:
            default = ""
        about = _escape(_one_line(inner.get("description", "")))
        yield f"| `{name}` | {_escape(_kind(inner))} | {default} | {about} |"


def _kind(schema: Schema) -> str:
    """Return a schema as words: `integer, ≥ 1, ≤ 500`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema or "oneOf" in schema:
        options = [_kind(one) for one in schema.get("anyOf") or schema["oneOf"]]
        return " or ".join(dict.fromkeys(options))
    if "enum" in schema:
        return ", ".join(_code(value) for value in schema["enum"])
    if "const" in schema:
        return _code(schema["const"])
    kind = schema.get("type", "anything")
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return ", ".join([kind, *bounds])


def _filters() -> Iterator[str]:
    yield "## Filter operators"
    yield ""
    yield "A condition is `{field, operator, value}`; `AND`, `OR`, `NOT` combine conditions:"
    yield ""
    yield ", ".join(f"`{name}`" for name in OPERATORS) + "."
    yield ""
    yield 'In a query\'s `filters`, `{"brand": "acme"}` is short for `eq`: a key is a field there.'
    yield 'Values of different types are never equal, greater or less: `57` is not `"57"`.'


def _code(value: Any) -> str:
    return f"`{orjson.dumps(value).decode()}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Compare the page with the code, or renew it; 1 if they differ."""
    parser = argparse.ArgumentParser(description="The page of all stages.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", type=Path, metavar="FILE")
    action.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.write is not None:
        options.write.write_text(render_page(), encoding="utf-8")
        return 0
    if options.check.is_file() and options.check.read_text(encoding="utf-8") == render_page():
        return 0
    sys.stderr.write(
        f"{options.check} is not what the code says; renew it with\n"
        f"  python -m handlers.stage_pages --write {options.check}\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""The catalogue of stages, as `GET /v1/retrievers/stages` lists them."""

from core.errors import InvalidRequestError, Problem
from core.registry import find_stage, stage_names
from core.stage import AnyStage
from core.types import JsonObject

CATEGORIES = ("filter", "sort", "reduce", "apply", "enrich")


def describe_stages(category: str | None = None) -> list[JsonObject]:
    """Return every stage, or those of one category, by name, each with its parameters' schema."""
    if category is not None and category not in CATEGORIES:
        message = f"unknown category {category[:100]!r}"
        raise InvalidRequestError(message, [Problem("query.category", message, "enum", CATEGORIES)])
    stages = [find_stage(name) for name in stage_names()]
    return [_describe(stage) for stage in stages if category in (None, stage.category)]


def _describe(stage: AnyStage) -> JsonObject:
    return {
        "stage_id": stage.stage_id,
        "description": stage.description,
        "category": stage.category,
        "icon": stage.icon,
        "parameter_schema": stage.params.model_json_schema(),
        "cost_tier": stage.cost_tier,
        "requires_collections": stage.traits.source,
    }

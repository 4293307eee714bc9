"""Plan nodes: the immutable form of one retriever version. Templates in it are not rendered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core.types import JsonObject, JsonValue, ReadOnlyObject


@dataclass(frozen=True, slots=True)
class PlanStage:
    """One stage as it will run.

    `parameters`, `filters` and `post_filter` are JSON with templates still in it. `filters` must
    all hold of what a source stage may return; `moved` names the written stages whose filters
    they are. `written` lists the indexes, in the retriever, of the stages this one stands for.
    """

    stage_name: str
    stage_id: str
    parameters: ReadOnlyObject
    filters: tuple[JsonValue, ...] = ()
    post_filter: JsonValue = None
    on_error: Literal["error", "skip"] = "error"
    output_alias: str | None = None
    hints: ReadOnlyObject = field(default_factory=dict)
    written: tuple[int, ...] = ()
    moved: tuple[str, ...] = ()

    def with_hint(self, name: str, value: JsonValue) -> "PlanStage":
        """Return the stage with one hint set."""
        return replace(self, hints={**self.hints, name: value})


@dataclass(frozen=True, slots=True)
class Decision:
    """What one optimizer rule did or why it did not: shown by explain."""

    rule: str
    applied: bool
    reason: str
    stages_before: int
    stages_after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One retriever version, ready to compile; `decisions` is empty for a plan as written."""

    namespace_id: str
    retriever_id: str
    retriever_name: str
    retriever_version: int
    collection_ids: tuple[str, ...]
    input_schema: ReadOnlyObject
    max_time_ms: float | None
    stages: tuple[PlanStage, ...]
    written_count: int
    decisions: tuple[Decision, ...] = ()

    def with_stages(self, stages: "tuple[PlanStage, ...] | list[PlanStage]") -> "Plan":
        """Return the plan with other stages."""
        return replace(self, stages=tuple(stages))


def plan_to_json(plan: Plan) -> JsonObject:
    """Return the plan as JSON, for the shared levels of the cache."""
    body = {name: getattr(plan, name) for name in Plan.__slots__}
    body["stages"] = [_node_to_json(stage) for stage in plan.stages]
    body["decisions"] = [_node_to_json(decision) for decision in plan.decisions]
    return body


def plan_from_json(body: Mapping[str, Any]) -> Plan:
    """Read back what `plan_to_json` wrote."""
    return Plan(
        **{
            **body,
            "collection_ids": tuple(body["collection_ids"]),
            "stages": tuple(_stage_from_json(stage) for stage in body["stages"]),
            "decisions": tuple(Decision(**decision) for decision in body["decisions"]),
        }
    )


def _node_to_json(node: PlanStage | Decision) -> JsonObject:
    return {name: getattr(node, name) for name in type(node).__slots__}


def _stage_from_json(body: Mapping[str, Any]) -> PlanStage:
    lists = {name: tuple(body[name]) for name in ("filters", "written", "moved")}
    return PlanStage(**{**body, **lists})

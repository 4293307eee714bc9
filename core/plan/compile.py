"""Compiling a plan for one process: templates parsed, static parameters validated once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.filtering.conditions import (
    Filter,
    conjoin,
    is_templated,
    parse_filter,
    render_filter,
)
from core.models.base import parse_model
from core.plan.nodes import Plan, PlanStage
from core.registry import find_stage
from core.stage import AnyStage
from core.templates import Tree, compile_tree, render_value
from core.traits import StageParams
from core.types import JsonObject, JsonValue, ReadOnlyObject


@dataclass(frozen=True, slots=True)
class CompiledStage:
    """A node with everything that does not depend on a query done."""

    node: PlanStage
    stage: AnyStage
    tree: Tree
    row_parameters: JsonObject  # parameters with templates that the stage renders per row
    static_params: StageParams | None
    filter: Filter | None
    filter_templated: bool
    post_filter: Filter | None

    @property
    def path(self) -> str:
        """Where the stage stands in the retriever, for messages."""
        return f"stages.{self.node.written[0]}.config" if self.node.written else "config"

    def params(self, scope: ReadOnlyObject) -> StageParams:
        """Return validated parameters for one query; `InvalidRequestError`, `TemplateError`."""
        if self.static_params is not None:
            return self.static_params
        rendered = {**self.tree.render(scope), **self.row_parameters}
        params: StageParams = parse_model(
            self.stage.params, rendered, path=f"{self.path}.parameters"
        )
        return params

    def source_filter(self, scope: ReadOnlyObject, query_filter: Filter | None) -> Filter | None:
        """Return all that must hold of what a source stage returns."""
        own = self.filter
        if own is not None and self.filter_templated:
            own = _render(own, scope)
        return conjoin((own, query_filter)) if query_filter is not None else own

    def rows_filter(self, scope: ReadOnlyObject) -> Filter | None:
        """Return the filter on what the stage returned."""
        if self.post_filter is None or not is_templated(self.post_filter):
            return self.post_filter
        return _render(self.post_filter, scope)


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """A plan ready to run; shared by all queries, so nothing in it ever changes."""

    plan: Plan
    stages: tuple[CompiledStage, ...]
    inputs_read: frozenset[str] = field(default_factory=frozenset)
    reads_stage_outputs: bool = False


def compile_plan(plan: Plan) -> CompiledPlan:
    """Compile every stage. Raises `InvalidRequestError` if the plan was not built by `build`."""
    stages = tuple(_compile_stage(node) for node in plan.stages)
    names = {name for node in plan.stages for name in _template_names(node)}
    spaces = {name.split(".")[0] for name in names}
    return CompiledPlan(
        plan=plan,
        stages=stages,
        inputs_read=inputs_among(names),
        reads_stage_outputs="STAGE" in spaces,
    )


def inputs_among(names: Iterable[str]) -> frozenset[str]:
    """Return the inputs among the names that templates refer to."""
    return frozenset(name.split(".")[1] for name in names if name.startswith("INPUT."))


def compile_filter(raw: JsonValue, path: str) -> Filter | None:
    """Parse a filter with its templates; None for no filter at all."""
    return None if raw is None else parse_filter(raw, path)


def render_query_filter(raw: JsonValue, scope: ReadOnlyObject) -> Filter | None:
    """Parse and render the filter that came with a query."""
    parsed = compile_filter(raw, "filters")
    return _render(parsed, scope) if parsed is not None and is_templated(parsed) else parsed


def _compile_stage(node: PlanStage) -> CompiledStage:
    stage = find_stage(node.stage_id)
    per_row = {k: v for k, v in node.parameters.items() if k in stage.row_templates}
    path = f"stages.{node.written[0]}.config" if node.written else "config"
    rest = {k: v for k, v in node.parameters.items() if k not in per_row}
    tree = compile_tree(rest, f"{path}.parameters")
    static: StageParams | None = None
    if not tree.paths:
        static = parse_model(stage.params, dict(node.parameters), path=f"{path}.parameters")
    own = conjoin(compile_filter(raw, f"{path}.pre_filters") for raw in node.filters)
    return CompiledStage(
        node=node,
        stage=stage,
        tree=tree,
        row_parameters=per_row,
        static_params=static,
        filter=own,
        filter_templated=own is not None and is_templated(own),
        post_filter=compile_filter(node.post_filter, f"{path}.post_filters"),
    )


def _template_names(node: PlanStage) -> frozenset[str]:
    whole: Mapping[str, Any] = {
        "parameters": dict(node.parameters),
        "filters": list(node.filters),
        "post_filter": node.post_filter,
    }
    return compile_tree(whole).names


def _render(tree: Filter, scope: ReadOnlyObject) -> Filter:
    return render_filter(tree, lambda value, path: render_value(value, scope, path))

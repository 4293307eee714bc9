"""Building a plan: every stage of a retriever checked, all faults at once, and meaning settled."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import ValidationError

from core.errors import InvalidRequestError, Problem, TrawlError
from core.filtering.conditions import parse_filter
from core.models.base import problems_of, summarize
from core.models.retriever import Retriever, StageSpec
from core.plan.nodes import Plan, PlanStage
from core.plan.settle import settle_filters
from core.registry import find_stage
from core.stage import AnyStage
from core.templates import compile_tree
from core.types import JsonObject, JsonValue

# Raises if a feature URI, found at the given path, is not one of the retriever's collections'.
CheckFeature = Callable[[str, str], None]


def build_plan(retriever: Retriever, check_feature: CheckFeature | None = None) -> Plan:
    """Return the plan of a retriever as written, with its filters where they mean to be.

    Raises `InvalidRequestError` with every problem of every stage, paths from `stages.0` on.
    """
    problems: list[Problem] = []
    nodes: list[PlanStage] = []
    for index, spec in enumerate(retriever.stages):
        found = check_stage(spec, f"stages.{index}", check_feature)
        problems.extend(found)
        if not found:
            nodes.extend(_nodes(spec, index))
    if not problems and not find_stage(nodes[0].stage_id).traits.source:
        message = f"stage {nodes[0].stage_id!r} has no rows to work on: begin with a search"
        accepted = ("feature_search", "attribute_filter")
        problems.append(Problem("stages.0.config.stage_id", message, "no_source", accepted))
    if problems:
        raise InvalidRequestError(summarize(problems), problems)
    return Plan(
        namespace_id=retriever.namespace_id,
        retriever_id=retriever.retriever_id,
        retriever_name=retriever.retriever_name,
        retriever_version=retriever.version,
        collection_ids=retriever.collection_ids,
        input_schema={
            name: field.model_dump(exclude_unset=True)
            for name, field in retriever.input_schema.items()
        },
        max_time_ms=retriever.budget_limits.max_time_ms,
        stages=settle_filters(_with_unique_names(nodes)),
        written_count=len(retriever.stages),
    )


def check_stage(spec: StageSpec, path: str, check_feature: CheckFeature | None) -> list[Problem]:
    """Return everything wrong with one stage, templates left unrendered."""
    config = f"{path}.config"
    try:
        stage = find_stage(spec.config.stage_id)
    except InvalidRequestError as error:
        return _below(error, config)
    problems = _check_parameters(stage, spec.config.parameters, f"{config}.parameters")
    for name in ("pre_filters", "post_filters"):
        problems.extend(_check_filter(getattr(spec.config, name), f"{config}.{name}"))
    if check_feature is not None:
        found = _feature_uris(spec.config.parameters, f"{config}.parameters")
        for uri, where in found:
            try:
                check_feature(uri, where)
            except InvalidRequestError as error:
                problems.extend(error.problems)
    return problems


def _check_parameters(stage: AnyStage, parameters: JsonObject, path: str) -> list[Problem]:
    try:
        templated = compile_tree(parameters).paths  # a bare tree: `_below` adds the path
    except TrawlError as error:
        return _below(error, path)
    try:
        stage.params.model_validate(parameters)
    except ValidationError as error:
        return [
            problem
            for problem in problems_of(error, stage.params, path)
            if not _hidden(problem, path, templated)
        ]
    except TrawlError as error:
        return _below(error, path)
    return []


def _hidden(problem: Problem, path: str, templated: "Sequence[tuple[str | int, ...]]") -> bool:
    """Say whether a problem is about a value that only rendering will tell."""
    where = problem.path.removeprefix(f"{path}.")
    for location in templated:
        leaf = ".".join(str(step) for step in location)
        # pydantic puts the names of union members between the steps of a location
        steps, parts = [str(step) for step in location], where.split(".")
        if where == leaf or (parts[: len(steps)] == steps or _within(steps, parts)):
            return True
    return False


def _within(steps: list[str], parts: list[str]) -> bool:
    """Say whether `steps` stand in `parts` in this order, the first at the front."""
    rest = iter(parts)
    return parts[:1] == steps[:1] and all(step in rest for step in steps)


def _check_filter(raw: JsonValue, path: str) -> list[Problem]:
    if raw is None:
        return []
    try:
        compile_tree({"filter": raw})
        parse_filter(raw, path)
    except TrawlError as error:
        return _below(error, "") if isinstance(error, InvalidRequestError) else _below(error, path)
    return []


def _below(error: TrawlError, path: str) -> list[Problem]:
    if isinstance(error, InvalidRequestError) and error.problems:
        return [
            replace(p, path=f"{path}.{p.path}" if path and p.path else path or p.path)
            for p in error.problems
        ]
    return [Problem(path, error.message, error.code)]


def _feature_uris(value: JsonValue, path: str) -> list[tuple[str, str]]:
    """Find every `feature_uri` in a stage's parameters that is not a template."""
    found: list[tuple[str, str]] = []
    pending: list[tuple[JsonValue, str]] = [(value, path)]
    while pending:
        current, where = pending.pop()
        if isinstance(current, dict):
            for key, inner in current.items():
                at = f"{where}.{key}"
                if key.endswith("feature_uri") and isinstance(inner, str) and "{{" not in inner:
                    found.append((inner, at))
                pending.append((inner, at))
        elif isinstance(current, list):
            pending.extend((inner, f"{where}.{i}") for i, inner in enumerate(current))
    return found


def _nodes(spec: StageSpec, index: int) -> list[PlanStage]:
    """Return the stage's node; pre_filters of a stage that makes no rows stand before it."""
    config = spec.config
    is_source = find_stage(config.stage_id).traits.source
    node = PlanStage(
        stage_name=spec.stage_name,
        stage_id=config.stage_id,
        parameters=config.parameters,
        filters=(config.pre_filters,) if is_source and config.pre_filters is not None else (),
        post_filter=config.post_filters,
        on_error=spec.on_error,
        output_alias=spec.output_alias,
        written=(index,),
    )
    if is_source or config.pre_filters is None:
        return [node]
    before = PlanStage(
        stage_name=f"{spec.stage_name}.pre_filters",
        stage_id="attribute_filter",
        parameters={"conditions": config.pre_filters},
        written=(index,),
    )
    return [before, node]


def _with_unique_names(nodes: list[PlanStage]) -> tuple[PlanStage, ...]:
    """Number repeated names: statistics and STAGE are keyed by them."""
    seen: dict[str, int] = {}
    unique: list[PlanStage] = []
    for node in nodes:
        count = seen[node.stage_name] = seen.get(node.stage_name, 0) + 1
        name = node.stage_name if count == 1 else f"{node.stage_name} ({count})"
        unique.append(replace(node, stage_name=name))
    return tuple(unique)

"""What keeps a rule from touching a stage, or a plan: each judgement once, in words for users."""

from dataclasses import dataclass, field

from core.plan.nodes import Plan, PlanStage
from core.templates import compile_tree

# Hints that make a stage return fewer rows than its traits say.
_CUTS = frozenset({"limit", "top_k", "group"})


def why_watched(plan: Plan) -> str | None:
    """Say who looks at the rows between the stages, None if nobody does.

    A template that reads STAGE, or the alias of a stage, would see what a rule changes there.
    """
    aliases = {stage.output_alias for stage in plan.stages if stage.output_alias}
    for stage in plan.stages:
        for name in sorted(_names(stage)):
            space, _, member = name.partition(".")
            if space == "STAGE" or (space == "CONTEXT" and (not member or member in aliases)):
                who = f"{stage.stage_name!r} has a template that reads {name}"
                return f"{who}: what stages pass on must stay as it is written"
    return None


def why_fixed(stage: PlanStage) -> str | None:
    """Say why a stage must stay as it stands, None if it may move, merge or go."""
    name = stage.stage_name
    if stage.on_error != "error":
        return f"{name!r} may be skipped on an error"
    if stage.output_alias:
        return f"{name!r} has an output_alias"
    if stage.post_filter is not None:
        return f"{name!r} has post_filters"
    return None


def is_cut(stage: PlanStage) -> bool:
    """Say whether a hint makes the stage drop rows that it would have returned."""
    return not _CUTS.isdisjoint(stage.hints)


def is_templated(stage: PlanStage) -> bool:
    """Say whether a query decides about the stage: then it may fail, and is not to be dropped."""
    return bool(compile_tree([dict(stage.parameters), list(stage.filters)]).paths)


@dataclass(slots=True)
class Notes:
    """What a rule did, and what kept it from doing more; `idle` is said if there was nothing."""

    idle: str
    done: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def reason(self) -> str:
        """Return it all as one line."""
        return "; ".join([*self.done, *dict.fromkeys(self.blocked)]) or self.idle


def _names(stage: PlanStage) -> frozenset[str]:
    parts = [dict(stage.parameters), list(stage.filters), stage.post_filter]
    return compile_tree(parts).names

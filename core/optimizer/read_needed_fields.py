"""The search loads the fields that later stages read; the rest is loaded for the final page."""

from core.optimizer.blockers import why_watched
from core.plan.facts import StageFacts, filter_fields, stage_facts
from core.plan.nodes import Plan, PlanStage
from core.traits import ALL, NO_FIELDS, FieldSet

# Every row has these, loaded or not.
_IDENTITY = frozenset({"document_id", "collection_id"})
# What pages look at.
_AT_THE_END = frozenset({"score"})


def read_needed_fields(plan: Plan) -> tuple[Plan, str]:
    """Name the stored fields that the stages read, so that the first one loads no others.

    [search; sort by price; …] → [search, loading price; sort by price; …]

    A path stands for its whole top-level field: a part of an object, put back where it was, would
    hide the rest. Never dearer: a document is parsed at most once either way, and not at all if it
    is dropped before anything asks for the rest of it.
    """
    if watched := why_watched(plan):
        return plan, watched
    source = plan.stages[0]
    traits = stage_facts(source).stage.traits
    if "columns" not in traits.hints:
        return plan, f"{source.stage_name!r} cannot load a part of a document"
    if source.post_filter is not None:
        return plan, f"the post_filters of {source.stage_name!r} look at whole documents"
    needed = _AT_THE_END
    for stage in reversed(plan.stages):
        before = _needed_before(stage, needed, is_first=stage is source)
        if not isinstance(before, frozenset):
            return plan, f"{stage.stage_name!r} may read any field"
        needed = before
    names = sorted({path.split(".", maxsplit=1)[0] for path in needed} - _IDENTITY)
    what = ", ".join(names) or "no stored field"
    reason = f"{source.stage_name!r} loads {what}; the rest is read of documents that are shown"
    return plan.with_stages([source.with_hint("columns", names), *plan.stages[1:]]), reason


def _needed_before(stage: PlanStage, after: FieldSet, *, is_first: bool) -> FieldSet:
    """Return what must be loaded before a stage, given what must be there after it."""
    facts = stage_facts(stage)
    if facts.params is None:
        return ALL
    traits, params = facts.stage.traits, facts.params
    # What a scan looks at are columns: nothing is loaded for them.
    scans = is_first and facts.filter is not None
    own = _union(NO_FIELDS if scans else _needed_by(stage, facts), _in_its_hints(stage))
    if stage.on_error != "error" and not is_first:
        return _union(own, after)  # skipped, it passes on what came
    if traits.replaces(params):
        after = NO_FIELDS
    made = traits.sets(params)
    if is_first:  # what a search makes stands before it reads anything
        return _without(_union(own, after), made)
    return _union(own, _without(after, made))


def _in_its_hints(stage: PlanStage) -> FieldSet:
    group = stage.hints.get("group")
    return NO_FIELDS if group is None else frozenset({group["group_by_field"], "score"})


def _needed_by(stage: PlanStage, facts: StageFacts) -> FieldSet:
    """Return what a stage reads, and the nested paths that it writes: what stands beside these
    must be there."""
    needs = facts.stage.traits.needs
    own = filter_fields(stage, facts) if needs is None else needs(facts.params)
    if isinstance(own, frozenset) and isinstance(facts.writes, frozenset):
        return own | {path for path in facts.writes if "." in path}
    return own


def _union(left: FieldSet, right: FieldSet) -> FieldSet:
    if isinstance(left, frozenset) and isinstance(right, frozenset):
        return left | right
    return ALL


def _without(fields: FieldSet, gone: FieldSet) -> FieldSet:
    if isinstance(fields, frozenset) and isinstance(gone, frozenset):
        return fields - gone
    return fields

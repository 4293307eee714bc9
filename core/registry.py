"""The list of stages: names are known from the folder, a module is imported at first use."""

from functools import cache
from importlib import import_module
from importlib.resources import files

from core.errors import InvalidRequestError, Problem
from core.stage import AnyStage


@cache
def stage_names() -> tuple[str, ...]:
    """Return every stage's wire name, sorted, without importing any of them."""
    names = (entry.name for entry in files("core.stages").iterdir())
    return tuple(sorted(n[:-3] for n in names if n.endswith(".py") and not n.startswith("_")))


@cache
def find_stage(stage_id: str) -> AnyStage:
    """Return the stage of that wire name; an unknown one is an error that lists the known."""
    if stage_id not in stage_names():
        problem = Problem("stage_id", f"unknown stage {stage_id!r}", "unknown_stage", stage_names())
        raise InvalidRequestError(problem.message, [problem])
    stage: AnyStage = import_module(f"core.stages.{stage_id}").STAGE
    if stage.stage_id != stage_id:
        raise RuntimeError(f"core/stages/{stage_id}.py exports the stage {stage.stage_id!r}")
    return stage

"""The optimizer's golden files: one per rule, each case a plan before and after it, and why.

`why` and `before` are written by hand; `python -m tests.core.optimizer.golden` writes the rest.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from core.optimizer.optimizer import RULES, Rule
from core.plan.nodes import Plan, PlanStage, plan_from_json, plan_to_json
from core.types import JsonObject

FOLDER = Path(__file__).parents[2] / "golden" / "optimizer"
_BLANK = plan_to_json(
    Plan("ns_1", "ret_1", "shop", 1, ("col_1",), {}, max_time_ms=None, stages=(), written_count=0)
)


def read_cases(rule: Rule) -> list[JsonObject]:
    """Return a rule's cases; every rule has a file."""
    cases: list[JsonObject] = json.loads(_path(rule).read_text())
    return cases


def plan_of(stages: list[JsonObject]) -> Plan:
    """Return a plan of nodes that name only what is not the default."""
    defaults: JsonObject = {"filters": [], "moved": []}
    whole = [{**defaults, "written": [at], **stage} for at, stage in enumerate(stages)]
    return plan_from_json({**_BLANK, "stages": whole, "written_count": len(stages)})


def stages_of(plan: Plan) -> list[JsonObject]:
    """Return the nodes as `plan_of` reads them."""
    return [_brief(stage) for stage in plan.stages]


def outcome(rule: Rule, before: list[JsonObject]) -> JsonObject:
    """Return what the rule makes of a plan, and its reason."""
    plan, reason = rule(plan_of(before))
    after = stages_of(plan)
    return {
        "after": "as before" if after == stages_of(plan_of(before)) else after,
        "reason": reason,
    }


def _brief(stage: PlanStage) -> JsonObject:
    defaults = {f.name: () if f.default is MISSING else f.default for f in fields(stage)}
    body = {f.name: getattr(stage, f.name) for f in fields(stage)}
    kept = {k: v for k, v in body.items() if v not in (defaults[k], {}) or k == "parameters"}
    brief: JsonObject = json.loads(json.dumps(kept))
    return brief


def _path(rule: Rule) -> Path:
    return FOLDER / f"{rule.__name__}.json"


def _write(rule: Rule) -> None:
    given = [{"why": c["why"], "before": c["before"]} for c in read_cases(rule)]
    cases: list[dict[str, Any]] = [{**case, **outcome(rule, case["before"])} for case in given]
    text = "[\n" + ",\n".join("".join(_lines(case)) for case in cases) + "\n]\n"
    _path(rule).write_text(text)


def _lines(case: JsonObject) -> Iterator[str]:
    """Yield a case with one line per stage: a reader compares them at a glance."""
    yield "  {\n"
    for at, (key, value) in enumerate(case.items()):
        yield ",\n" if at else ""
        if isinstance(value, list):
            stages = ",\n".join(f"      {json.dumps(stage)}" for stage in value)
            yield f'    "{key}": [\n{stages}\n    ]'
        else:
            yield f'    "{key}": {json.dumps(value)}'
    yield "\n  }"


if __name__ == "__main__":
    for each in RULES:
        _write(each)

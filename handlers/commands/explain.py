"""`trawl explain`: a retriever's plan, as written and as it runs, and why it differs."""

from collections.abc import Sequence

import click
import orjson

from core.types import JsonObject
from handlers.client import api_path
from handlers.commands.connection import Connection, connection_options
from handlers.commands.output import print_json


@click.command(short_help="Show what a retriever does, and why.")
@click.argument("retriever")
@click.option("--json", "as_json", is_flag=True, help="Print the whole explanation as JSON.")
@connection_options()
def explain(connection: Connection, retriever: str, as_json: bool) -> None:
    """Show the plan of RETRIEVER before and after the optimizer, and why. Nothing is run."""
    with connection.open() as client:
        path = api_path("retrievers", retriever, "execute", "explain")
        plan = client.call("POST", path, {})
        stored = client.call("GET", api_path("retrievers", plan["retriever_id"]))
    if as_json:
        print_json(plan)
        return
    for line in describe_plan(plan, stored["stages"]):
        click.echo(line)


def describe_plan(plan: JsonObject, written: Sequence[JsonObject]) -> list[str]:
    """Return an explanation as lines of text; `written` are the stages that the retriever keeps.

    The plan before the optimizer is not shown: filters have gone into its searches already.
    """
    lines = [f"{plan['retriever_name']} ({plan['retriever_id']})", "", "as written"]
    lines += _stages([{"stage_name": one["stage_name"], **one["config"]} for one in written])
    lines += ["", "as it runs"]
    lines += _stages(plan["plan_after"])
    lines += ["", "why"]
    moved = [
        "  filters of stored fields constrain the search before them: "
        f"'{stage['stage_name']}' takes that of {', '.join(map(repr, stage['filters_moved_from']))}"
        for stage in plan["plan_after"]
        if stage.get("filters_moved_from")
    ]
    lines += moved
    decisions = plan["optimization_details"]["decisions"]
    lines += [
        f"  {decision['rule_type']}: {decision['reason']}"
        for decision in decisions
        if decision["applied"]
    ]
    idle = [decision["rule_type"] for decision in decisions if not decision["applied"]]
    if len(idle) == len(decisions) and not moved:
        lines.append("  no rule applies: it runs as it is written")
    elif idle:
        lines.append(f"  not applied: {', '.join(idle)}")
    return lines


def _stages(stages: list[JsonObject]) -> list[str]:
    lines: list[str] = []
    for number, stage in enumerate(stages, 1):
        name = stage["stage_id"]
        if stage["stage_name"] != name:
            name = f"{stage['stage_name']} ({name})"
        lines.append(f"  {number}. {name}")
        details = {
            **(stage.get("parameters") or {}),
            "pre_filters": stage.get("pre_filters"),
            "post_filters": stage.get("post_filters"),
            "constrained to": stage.get("filters"),
            "filter taken from": stage.get("filters_moved_from"),
            "filtered afterwards": stage.get("post_filter"),
            **stage.get("hints", {}),
        }
        lines += [
            f"       {key}: {orjson.dumps(value).decode()}"
            for key, value in details.items()
            if value not in (None, [], {})
        ]
    return lines

"""A retriever's inputs: which changes would break those who call it."""

from collections.abc import Mapping

from core.errors import Problem
from core.models.retriever import InputField


def breaking_changes(old: Mapping[str, InputField], new: Mapping[str, InputField]) -> list[Problem]:
    """Return one problem per breaking change: an input removed, of another type, or newly
    required (a new default makes it optional again)."""
    problems = [
        Problem(f"input_schema.{name}", "an input cannot be removed", "breaking_change")
        for name in old
        if name not in new
    ]
    for name, field in new.items():
        path = f"input_schema.{name}"
        before = old.get(name)
        if before is not None and before.type != field.type:
            message = f"the type cannot change from {before.type} to {field.type}"
            problems.append(Problem(f"{path}.type", message, "breaking_change"))
        if _must_be_given(field) and (before is None or not _must_be_given(before)):
            message = "an input cannot become required; give it a default"
            problems.append(Problem(f"{path}.required", message, "breaking_change"))
    return problems


def _must_be_given(field: InputField) -> bool:
    return field.required and field.default is None

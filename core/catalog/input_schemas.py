"""A retriever's inputs: which changes would break those who call it, and which one takes a file."""

from collections.abc import Mapping
from typing import Final

from core.errors import Problem
from core.models.retriever import InputField

_MEDIA: Final = frozenset({"image", "audio", "video", "pdf", "excel"})


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


def sole_media_input(types: Mapping[str, str]) -> str | None:
    """Return the name of the only media input among names and types; None if there is not just
    one: which of several takes a file is not for us to guess."""
    media = [name for name, kind in types.items() if kind in _MEDIA]
    return media[0] if len(media) == 1 else None


def _must_be_given(field: InputField) -> bool:
    return field.required and field.default is None

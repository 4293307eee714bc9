"""The base of everything that arrives in a request: an unknown key is refused, never dropped."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import InvalidRequestError, Problem


class RequestModel(BaseModel):
    """A request body: strict about its keys, frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


M = TypeVar("M", bound=BaseModel)


def accepted_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a model takes, under the names that stand on the wire."""
    return tuple(sorted(f.alias or name for name, f in model.model_fields.items()))


def problems_of(error: ValidationError, model: type[BaseModel], path: str = "") -> list[Problem]:
    """Translate a pydantic error into problems, all of them, with dotted paths."""
    return [_problem(item, model, path) for item in error.errors(include_url=False)]


def parse_model(model: type[M], raw: Any, *, path: str = "") -> M:
    """Validate `raw`; every fault at once as `InvalidRequestError`, paths below `path`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, model, path)
        raise InvalidRequestError(summarize(problems), problems) from None


def summarize(problems: Iterable[Problem]) -> str:
    """Return one sentence that names the first fault and counts the others."""
    problems = list(problems)
    first = problems[0]
    where = f"{first.path}: " if first.path else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}{first.message}{more}"


def _problem(item: Any, model: type[BaseModel], path: str) -> Problem:
    where = ".".join([path, *(str(p) for p in item["loc"])] if path else map(str, item["loc"]))
    if item["type"] != "extra_forbidden":
        return Problem(where, item["msg"], item["type"])
    names = accepted_names(_model_at(model, item["loc"][:-1]) or model)
    return Problem(where, f"unknown key {item['loc'][-1]!r}", "extra_forbidden", names)


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Follow a pydantic location into nested models; None where it leaves them."""
    current: type[BaseModel] | None = model
    for step in loc:
        if isinstance(step, int):
            continue
        if current is None:
            return None
        current = _nested_model(current, step)
    return current


def _nested_model(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    for field_name, info in model.model_fields.items():
        if name in (field_name, info.alias):
            return next(_models_in(info.annotation), None)
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)

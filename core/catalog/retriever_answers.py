"""A retriever as reads return it: the stored version, and the mirrors that clients rely on."""

import re
from collections.abc import Iterator

from core.models.retriever import Retriever, StageSpec
from core.types import JsonObject, JsonValue

_ADDRESS = re.compile(r"^(mixpeek|trawl)://([^@/\s]+)@([^@/\s]+)/([^@/\s]+)$")


def describe_retriever(retriever: Retriever) -> JsonObject:
    """Return the answer for a retriever.

    `collection_identifiers` repeats `collection_ids`, and each stage repeats its
    `config.parameters`: so an answer can be sent back as a request.
    """
    body = retriever.model_dump(mode="json")
    stages = [_stage_json(stage) for stage in retriever.stages]
    return {
        **body,
        "stages": stages,
        "collection_identifiers": body["collection_ids"],
        "feature_dependencies": _dependencies(retriever),
        "fusion": _fusion(retriever),
        "is_published": False,
    }


def _stage_json(stage: StageSpec) -> JsonObject:
    body = stage.model_dump(mode="json", exclude_none=True)
    if stage.batch_size is not None:
        body["batch_size"] = str(stage.batch_size)
    return {**body, "parameters": body["config"]["parameters"]}


def _dependencies(retriever: Retriever) -> list[JsonObject]:
    """Return each feature address that the stages name, once, in their order."""
    found: dict[str, JsonObject] = {}
    for stage in retriever.stages:
        for address in _addresses(stage.config.parameters):
            match = _ADDRESS.match(address)
            if match:
                names = ("scheme", "extractor", "version", "output")
                found[address] = dict(zip(names, match.groups(), strict=True))
    return list(found.values())


def _addresses(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "feature_uri" and isinstance(inner, str):
                yield inner
            else:
                yield from _addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _addresses(inner)


def _fusion(retriever: Retriever) -> str | None:
    for stage in retriever.stages:
        fusion = stage.config.parameters.get("fusion")
        if stage.config.stage_id == "feature_search" and isinstance(fusion, str):
            return fusion
    return None

"""What a report says beside the scan's own answer: names, rules, and what features measure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.scan.thresholds import Measure, read_measures
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature address in words: its extractor, what that finds, and its measure, if known."""

    uri: str
    extractor: str
    description: str = ""
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Collections by id, features by address; retrievers by id as they were read after the scan."""

    collections: Mapping[str, JsonObject] = field(default_factory=dict)
    features: Mapping[str, Feature] = field(default_factory=dict)
    retrievers: Mapping[str, JsonObject] = field(default_factory=dict)

    def collection_name(self, collection_id: str) -> str:
        """Return a collection's name, its id where that is all that is known."""
        return str(self.collections.get(collection_id, {}).get("collection_name") or collection_id)

    def feature(self, uri: str) -> Feature:
        """Return a feature; of one that nobody described, what its address says."""
        return self.features.get(uri) or Feature(uri, uri.rpartition("://")[2].partition("@")[0])

    def rule_source(self, retriever: Mapping[str, Any]) -> str:
        """Say where a retriever's thresholds come from."""
        read = self.retrievers.get(retriever["retriever_id"])
        if read is None or read.get("version") != retriever["version"]:
            return "the retriever's own rule, or its extractors' (it has changed since, or is gone)"
        if (read.get("verdict") or {}).get("block_at") is not None:
            return "this retriever's own rule"
        return "the extractor's defaults: the retriever has no rule of its own"


NO_CONTEXT: Final = Context()


def read_context(client: Client, retrievers: Iterable[JsonObject]) -> Context:
    """Ask the service for what the scan's answer names only by id; what is gone is left out."""
    chosen = list(retrievers)
    listed = client.call("GET", api_path("discovery", "extractors"))
    measures = read_measures(listed)
    features = {
        entry["feature_uri"]: Feature(
            entry["feature_uri"],
            entry["feature_extractor_name"],
            entry["description"],
            measure if isinstance(measure, Measure) else None,
        )
        for entry in listed
        for measure in [measures.get(entry["feature_uri"])]
    }
    collection_ids = {name for one in chosen for name in one["collection_ids"]}
    return Context(
        collections=_found(client, "collections", collection_ids),
        features=features,
        retrievers=_found(client, "retrievers", {one["retriever_id"] for one in chosen}),
    )


def _found(client: Client, kind: str, names: Iterable[str]) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for name in sorted(names):
        try:
            found[name] = client.call("GET", api_path(kind, name))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
    return found

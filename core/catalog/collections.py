"""Collections of a namespace: created, found by id or name, listed, changed, dropped."""

from contextlib import suppress

from core.catalog.directory import Directory
from core.clock import utc_now
from core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Problem,
    TrawlError,
)
from core.ids import new_id
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor, versions_of
from core.media.rules import ExtractorRules
from core.models.collections import (
    Collection,
    CollectionCreate,
    CollectionPatch,
    FeatureExtractor,
)
from core.models.features import feature_uri
from core.models.namespaces import FeatureExtractorConfig
from core.ports.records import Put, Record, Records
from core.storage.collections import CollectionStore
from core.storage.files import count_files
from core.types import JsonObject, VectorSpec

PATCH_ATTEMPTS = 5


class CollectionCatalog:
    """What collections there are; their documents live in the `CollectionStore`."""

    def __init__(
        self, records: Records, store: CollectionStore, rules: ExtractorRules | None = None
    ) -> None:
        self.rules = rules or ExtractorRules()
        self._records = records
        self._directory = Directory(records, "col", "collection")
        self._store = store

    def find(self, namespace_id: str, id_or_name: str) -> Collection:
        """Return a collection of this namespace; `NotFoundError`."""
        return _read(self._directory.get(namespace_id, id_or_name))

    def all(self, namespace_id: str) -> list[Collection]:
        """Return the namespace's collections, by id."""
        return [_read(record) for record in self._directory.all(namespace_id)]

    def create(self, namespace_id: str, request: CollectionCreate) -> Collection:
        """Make a collection; `AlreadyExistsError` if its name is taken."""
        collection, writes = self.prepare(namespace_id, request)
        try:
            self._records.transact(writes)
        except ConflictError:
            self.discard(collection)
            raise AlreadyExistsError("collection", collection.collection_name) from None
        except TrawlError:
            self.discard(collection)
            raise
        return collection

    def prepare(
        self, namespace_id: str, request: CollectionCreate, *, is_default: bool = False
    ) -> tuple[Collection, list[Put]]:
        """Make the room for a collection's documents; the returned writes make it known.

        Whoever cannot make the writes calls `discard`.
        """
        extractor, specs = _vectors_of(request, self.rules)
        now = utc_now()
        collection = Collection(
            collection_id=new_id("col"),
            namespace_id=namespace_id,
            collection_name=request.collection_name,
            created_at=now,
            updated_at=now,
            feature_extractor=extractor,
            description=request.description,
            metadata=request.metadata,
            source=request.source,
            is_default=is_default,
            engine=request.engine,
            filterable_fields=tuple(request.filterable_fields),
        )
        writes = self._directory.additions(
            namespace_id, collection.collection_id, request.collection_name, collection.to_json()
        )
        # The store first: whoever finds the collection can write to it at once.
        self._store.create(
            namespace_id,
            collection.collection_id,
            specs,
            engine=request.engine,
            filterable=request.filterable_fields,
        )
        return collection, writes

    def discard(self, collection: Collection) -> None:
        """Give up a collection that was prepared and never made known."""
        self._store.drop(collection.namespace_id, collection.collection_id)

    def patch(self, namespace_id: str, id_or_name: str, request: CollectionPatch) -> Collection:
        """Change what the request names and nothing else."""
        changes = request.model_dump(exclude_unset=True)
        refuse_null(changes, "collection_name", "metadata")
        for attempt in range(PATCH_ATTEMPTS):
            record = self._directory.get(namespace_id, id_or_name)
            old = _read(record)
            value = {**old.to_json(), **changes, "updated_at": utc_now()}
            try:
                self._directory.replace(
                    record,
                    old.collection_id,
                    value,
                    old_name=old.collection_name,
                    name=value["collection_name"],
                )
            except ConflictError:
                if attempt == PATCH_ATTEMPTS - 1:
                    raise
                continue
            return Collection.from_json(value)
        raise NotFoundError("collection", id_or_name)

    def delete(self, namespace_id: str, id_or_name: str, *, default_too: bool = False) -> None:
        """Remove a collection and every document in it.

        The default collection goes only with its namespace.
        """
        record = self._directory.get(namespace_id, id_or_name)
        collection = _read(record)
        if collection.is_default and not default_too:
            message = "the default collection cannot be deleted; delete its documents instead"
            raise InvalidRequestError(message, [Problem("collection", message)])
        if collection.engine == "embedded":
            self._directory.remove(record, collection.collection_name)
            self._store.drop(namespace_id, collection.collection_id)
            return
        # What lies outside goes first: whoever hears that it failed can ask again, and what a
        # process left half done is found under its name.
        with suppress(NotFoundError):
            self._store.drop(namespace_id, collection.collection_id)
        self._directory.remove(record, collection.collection_name)

    def describe(self, collection: Collection, *, count: bool = False) -> JsonObject:
        """Return the answer for a collection: its record and its vectors.

        `count` adds how many documents it holds, for which its segments must be opened.
        """
        place = (collection.namespace_id, collection.collection_id)
        specs = self._store.describe(*place).specs
        extractor = _extractor_info(collection)
        # What content is searched by comes first, then its views and what documents bring.
        own = None if extractor is None else extractor.index_name
        names = sorted(specs, key=lambda name: (name != own, name))
        body = {
            **collection.to_json(),
            "feature_extractor": _extractor_json(collection.feature_extractor),
            "enabled": True,
            "vector_indexes": [_index_json(specs[name], extractor) for name in names],
        }
        if count:
            body["document_count"] = count_files(self._store.snapshot(*place))
        return body


def extractor_of(config: FeatureExtractorConfig, path: str) -> ExtractorInfo:
    """Return the extractor that a request names, without a version the newest.

    Unknown ones and versions are refused.
    """
    try:
        info = find_extractor(config.feature_extractor_name)
    except InvalidRequestError as error:
        problems = [
            Problem(f"{path}.feature_extractor_name", p.message, p.type, p.accepted)
            for p in error.problems
        ]
        raise InvalidRequestError(error.message, problems) from None
    if config.version is None:
        return info
    known = versions_of(info.name)
    if config.version not in known:
        message = f"unknown version {config.version[:50]!r} of {info.name}"
        problem = Problem(f"{path}.version", message, accepted=known)
        raise InvalidRequestError(message, [problem])
    return find_extractor(f"{info.name}@{config.version}")


def refuse_null(changes: JsonObject, *names: str) -> None:
    """Raise for a patch that sets what must always have a value to null."""
    problems = [Problem(n, "may not be null") for n in names if n in changes and changes[n] is None]
    if problems:
        raise InvalidRequestError(f"{problems[0].path}: may not be null", problems)


def _vectors_of(
    request: CollectionCreate, rules: ExtractorRules
) -> tuple[FeatureExtractor | None, list[VectorSpec] | None]:
    """Return the extractor and the declared vectors; None for vectors to be learnt."""
    config = request.feature_extractor
    specs = [v.to_spec() for v in request.vector_configs] if request.vector_configs else None
    if config is None:
        return None, specs
    info = extractor_of(config, "feature_extractor")
    info = rules.check(info, config.parameters, "feature_extractor.parameters")
    made = {spec.name for spec in info.vectors}
    return FeatureExtractor(info.name, info.version, config.parameters), [
        *info.vectors,
        *(spec for spec in specs or () if spec.name not in made),
    ]


def _extractor_info(collection: Collection) -> ExtractorInfo | None:
    extractor = collection.feature_extractor
    return find_extractor(extractor.reference) if extractor else None


def _extractor_json(extractor: FeatureExtractor | None) -> JsonObject | None:
    if extractor is None:
        return None
    return {
        "feature_extractor_name": extractor.name,
        "version": extractor.version,
        "parameters": extractor.parameters,
        "feature_extractor_id": f"{extractor.name}_{extractor.version}",
    }


def _index_json(spec: VectorSpec, extractor: ExtractorInfo | None) -> JsonObject:
    """Return one entry of `vector_indexes`; a brought vector's address is its bare name."""
    uri, inference = spec.name, None
    if extractor is not None and extractor.index_name == spec.name:
        uri = feature_uri(extractor.name, extractor.version, extractor.output)
        inference = extractor.name
    return {
        "name": spec.name,
        "feature_uri": uri,
        "type": "dense",
        "index": {
            "name": spec.name,
            "dimensions": spec.dimension,
            "distance": spec.metric,
            "inference_name": inference,
        },
    }


def _read(record: Record) -> Collection:
    return Collection.from_json(record.value)

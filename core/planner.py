"""The planner: from a retriever's name to its compiled plan, checked against its collections."""

import time
from typing import Protocol

from core.errors import InvalidRequestError, NotFoundError, Problem
from core.models.base import parse_model
from core.models.execution import AdhocRequest
from core.models.features import index_name
from core.models.namespaces import Namespace
from core.models.retriever import Retriever, RetrieverCreate
from core.optimizer.optimizer import optimize
from core.plan.build import CheckFeature, build_plan
from core.plan.cache import Level, PlanCache, PlanKey
from core.plan.compile import CompiledPlan, compile_plan
from core.plan.explain import explain_plans
from core.plan.nodes import Plan
from core.plan.version import planner_version
from core.runtime.environment import CollectionFinder
from core.storage.collections import CollectionStore
from core.types import JsonObject


class RetrieverFinder(Protocol):
    """Finds a namespace's retrievers, by id or name."""

    def find(self, namespace_id: str, reference: str) -> Retriever:
        """Return the retriever's present version; `NotFoundError`."""
        ...


class Planner:
    """Makes and finds plans. Everything here may block; thread-safe."""

    def __init__(
        self,
        retrievers: RetrieverFinder,
        collections: CollectionFinder,
        store: CollectionStore,
        cache: PlanCache,
    ) -> None:
        self._retrievers = retrievers
        self._collections = collections
        self._store = store
        self._cache = cache

    def load(
        self, namespace: Namespace, reference: str, *, optimized: bool
    ) -> tuple[CompiledPlan, Level]:
        """Return a stored retriever's plan and where it was found.

        Raises `NotFoundError`, also for a collection of the retriever that was deleted since, and
        `InvalidRequestError` if a plan has to be built and the collections changed so that it
        cannot run any more.
        """
        retriever = self._retrievers.find(namespace.namespace_id, reference)
        key = PlanKey(
            namespace.namespace_id,
            retriever.retriever_id,
            retriever.version,
            planner_version(),
            optimized,
        )
        return self._cache.find(key, lambda: self._plan(namespace, retriever, optimized=optimized))

    def compile_adhoc(
        self, namespace: Namespace, request: AdhocRequest, *, optimized: bool
    ) -> CompiledPlan:
        """Return the plan of stages that came with the request; it is not kept."""
        return self._compile_unstored(namespace, "", request, optimized=optimized)

    def compile_inline(self, namespace: Namespace, config: JsonObject) -> CompiledPlan:
        """Return the plan of a `retriever_config` inside a stage."""
        request = parse_model(
            RetrieverCreate, {"retriever_name": "inline", **config}, path="retriever_config"
        )
        return self._compile_unstored(namespace, "inline", request, optimized=True)

    def check(self, namespace: Namespace, retriever: Retriever) -> None:
        """Raise `InvalidRequestError` with everything that would keep the retriever from
        running."""
        self._build(namespace, retriever)

    def explain(self, namespace: Namespace, reference: str) -> JsonObject:
        """Return the plan before and after optimization, and why it differs."""
        retriever = self._retrievers.find(namespace.namespace_id, reference)
        written = self._build(namespace, retriever)
        started = time.perf_counter()
        optimized = optimize(written)
        return explain_plans(written, optimized, (time.perf_counter() - started) * 1000)

    def _compile_unstored(
        self,
        namespace: Namespace,
        name: str,
        request: AdhocRequest | RetrieverCreate,
        *,
        optimized: bool,
    ) -> CompiledPlan:
        retriever = Retriever(
            retriever_id="",
            namespace_id=namespace.namespace_id,
            retriever_name=name,
            stages=tuple(request.stages),
            collection_ids=self._resolve(namespace, request.collection_identifiers),
            input_schema=request.input_schema,
            budget_limits=request.budget_limits,
        )
        return compile_plan(self._plan(namespace, retriever, optimized=optimized))

    def _plan(self, namespace: Namespace, retriever: Retriever, *, optimized: bool) -> Plan:
        plan = self._build(namespace, retriever)
        return optimize(plan) if optimized else plan

    def _build(self, namespace: Namespace, retriever: Retriever) -> Plan:
        ids = retriever.collection_ids or (namespace.default_collection_id,)
        retriever = retriever.model_copy(update={"collection_ids": ids})
        return build_plan(retriever, self._feature_check(namespace.namespace_id, ids))

    def _resolve(self, namespace: Namespace, references: list[str]) -> tuple[str, ...]:
        found = (self._collections.find(namespace.namespace_id, name) for name in references)
        return tuple(dict.fromkeys(collection.collection_id for collection in found))

    def _feature_check(self, namespace_id: str, collection_ids: tuple[str, ...]) -> CheckFeature:
        known: set[str] = set()
        open_ended = False
        for collection_id in collection_ids:
            try:
                manifest = self._store.describe(namespace_id, collection_id)
            except NotFoundError as error:
                raise collection_is_gone(error) from None
            known.update(manifest.specs)
            open_ended = open_ended or not manifest.declared

        def check(feature_uri: str, path: str) -> None:
            # Vectors that the first write will declare cannot be checked before it.
            if index_name(feature_uri) in known or open_ended:
                return
            message = f"no vector {index_name(feature_uri)!r} in the retriever's collections"
            problem = Problem(path, message, "unknown_vector", sorted(known))
            raise InvalidRequestError(message, [problem])

        return check


def collection_is_gone(error: NotFoundError) -> NotFoundError:
    """Return the error that says whose collection is missing: not one that the caller named."""
    return NotFoundError("collection of this retriever", error.details["id"])

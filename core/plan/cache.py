"""The plan cache: this process, then records, then blobs, else built and written back."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import orjson

from core.errors import BlobNotFoundError, TrawlError
from core.plan.compile import CompiledPlan, compile_plan
from core.plan.nodes import Plan, plan_from_json, plan_to_json
from core.ports.blobs import Blobs
from core.ports.records import MAX_RECORD_BYTES, Put, Records
from core.types import JsonObject

Level = Literal["memory", "records", "blobs", "built"]

_TTL_SECONDS = 30 * 86_400

_log = logging.getLogger("trawl")


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan is made from: a new version of any of them is another plan, so nothing is ever
    invalidated."""

    namespace_id: str
    retriever_id: str
    retriever_version: int
    planner_version: str
    optimized: bool

    @property
    def partition(self) -> str:
        """The records partition, and the head of the blob's key."""
        return f"plan#{self.namespace_id}"

    @property
    def name(self) -> str:
        """The key within the partition."""
        kind = "optimized" if self.optimized else "written"
        return f"{self.retriever_id}#{self.retriever_version}#{self.planner_version}#{kind}"

    @property
    def blob(self) -> str:
        """The key of a plan too large for a record."""
        return f"{self.namespace_id}/plans/{self.name.replace('#', '/')}.json"


class PlanCache:
    """Finds or builds plans. One build at a time per key in a process; thread-safe."""

    def __init__(self, records: Records, blobs: Blobs, capacity: int = 512) -> None:
        self._records = records
        self._blobs = blobs
        self._capacity = capacity
        self._lock = threading.Lock()
        self._plans: OrderedDict[PlanKey, CompiledPlan] = OrderedDict()
        self._builds: dict[PlanKey, threading.Lock] = {}

    def find(self, key: PlanKey, build: Callable[[], Plan]) -> tuple[CompiledPlan, Level]:
        """Return the compiled plan and the level that had it. What `build` raises leaves here,
        and nothing is kept of it."""
        found = self._peek(key)
        if found is not None:
            return found, "memory"
        with self._lock:
            turn = self._builds.setdefault(key, threading.Lock())
        with turn:
            found = self._peek(key)
            if found is not None:
                return found, "memory"
            try:
                return self._load(key, build)
            finally:
                with self._lock:
                    self._builds.pop(key, None)

    def _peek(self, key: PlanKey) -> CompiledPlan | None:
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
            return found

    def _load(self, key: PlanKey, build: Callable[[], Plan]) -> tuple[CompiledPlan, Level]:
        stored = self._stored(key)
        compiled, level = stored or (compile_plan(build()), "built")
        with self._lock:
            self._plans[key] = compiled
            while len(self._plans) > self._capacity:
                self._plans.popitem(last=False)
        if stored is None:
            self._write(key, compiled.plan)
        return compiled, level

    def _stored(self, key: PlanKey) -> tuple[CompiledPlan, Level] | None:
        """Return the shared levels' plan, None if they have none that this process can run.

        A cache that does not answer, or holds what another release wrote otherwise, must not cost
        an answer: the plan is built again, and written over it.
        """
        try:
            found = self._read(key)
            if found is None:
                return None
            plan, level = found
            made_from = (plan.namespace_id, plan.retriever_id, plan.retriever_version)
            if made_from != (key.namespace_id, key.retriever_id, key.retriever_version):
                raise ValueError("the plan of another retriever")
            if not plan.stages:
                raise ValueError("a plan without stages")
            return compile_plan(plan), level
        except Exception as error:
            _log.warning("cached plan %s is of no use, it is built again: %r", key.name, error)
            return None

    def _read(self, key: PlanKey) -> tuple[Plan, Level] | None:
        record = self._records.get(key.partition, key.name)
        if record is None:
            return None
        if "plan" in record.value:
            return plan_from_json(record.value["plan"]), "records"
        try:
            return plan_from_json(orjson.loads(self._blobs.get(key.blob))), "blobs"
        except BlobNotFoundError:
            return None

    def _write(self, key: PlanKey, plan: Plan) -> None:
        body = plan_to_json(plan)
        data = orjson.dumps(body)
        value: JsonObject = {"plan": body}
        try:
            if len(data) >= MAX_RECORD_BYTES - 1_000:
                self._blobs.put(key.blob, data, content_type="application/json")
                value = {"blob": key.blob}
            self._records.put(Put(key.partition, key.name, value, ttl_s=_TTL_SECONDS))
        except TrawlError as error:
            _log.warning("plan cache not writable: %s", error.message)

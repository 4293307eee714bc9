"""Scans from request to delivered answer: claimed, run, kept, presigned, and read again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from core.clock import utc_now
from core.deadline import Deadline
from core.delivery import Presigner, ReadableBuckets, fail_largest, spill_documents
from core.engine import Delivery, stop_times
from core.errors import TrawlError, UnavailableError
from core.ids import new_id
from core.models.execution import Settings
from core.models.namespaces import Namespace
from core.models.scans import ScanRequest
from core.runtime.blocking import run_blocking
from core.runtime.environment import Services
from core.scan.answers import late_cell, rated_scan, to_run_again
from core.scan.scanner import Scanner, StopTimes
from core.scan.store import Claim, ScanStore
from core.types import JsonObject

T = TypeVar("T")
OnFile = Callable[[JsonObject], Awaitable[None]]

_log = logging.getLogger("trawl")

# What follows from a scan's cells: made anew whenever they change.
_RATED = frozenset({"status", "complete", "verdict", "counts", "files", "unprocessed"})


class Scans:
    """What `/v1/scans` does. One per process."""

    def __init__(
        self, services: Services, scanner: Scanner, store: ScanStore, delivery: Delivery
    ) -> None:
        self._services = services
        self._scanner = scanner
        self._store = store
        self._delivery = delivery

    def check(self, namespace: Namespace, request: ScanRequest) -> None:
        """Raise what keeps a scan from beginning, such as an unknown retriever; it blocks."""
        self._scanner.check(namespace, request)

    async def run(
        self,
        namespace: Namespace,
        request: ScanRequest,
        *,
        deadline: Deadline,
        on_file: OnFile | None = None,
    ) -> JsonObject:
        """Run every file against every retriever and return the whole answer.

        `deadline` is when the answer must be ready. `on_file` is told each file as it is delivered,
        with the scan's id, in the order in which they are done; the answer then is neither signed
        nor made smaller, as its documents are on their way. Raises only what concerns the scan as a
        whole: `NotFoundError`, `InvalidRequestError`, `UnavailableError`, `IdempotencyError`
        and `ConflictError` for what an idempotency key forbids.
        """
        asked = Settings(deadline_ms=request.settings.deadline_ms)
        stop = StopTimes(*stop_times(asked, deadline))
        claim = await self._claim(namespace, request, stop.answer)
        teller = (
            None if on_file is None else _Teller(self, namespace, request, claim, stop, on_file)
        )
        try:
            answer, size = await self._scan(namespace, request, stop, claim, teller)
        except BaseException:
            await asyncio.shield(self._in_pool(lambda: self._release(namespace, claim)))
            raise
        answer["scan_id"] = claim.scan_id
        answer["created_at"] = (claim.earlier or {}).get("created_at") or utc_now()
        answer["updated_at"] = utc_now()
        if teller is None:
            delivering = self.deliver(
                namespace, answer, size, presigned=request.return_presigned_urls, by=stop.answer
            )
        else:
            delivering = teller.finish(answer)
        keeping = asyncio.create_task(
            self._keep(namespace, request, claim, answer, stop.answer), name="keep a scan"
        )
        # Who hangs up now does not take with it what is done: its key would stay taken.
        delivered, warning = await asyncio.gather(delivering, asyncio.shield(keeping))
        return {**delivered, "warnings": [*delivered["warnings"], *warning]}

    async def get(
        self, namespace: Namespace, scan_id: str, *, presign: bool, deadline: Deadline
    ) -> JsonObject:
        """Return a scan again, with fresh URLs if it was asked for any or `presign`.

        Raises `NotFoundError`, also for one of another namespace or kept no longer.
        """
        found = await self._in_pool(lambda: self._store.read(namespace, scan_id))
        answer, presigned = found
        return await self.deliver(
            namespace, answer, None, presigned=presigned or presign, by=deadline
        )

    async def _claim(self, namespace: Namespace, request: ScanRequest, by: Deadline) -> Claim:
        if request.idempotency_key is None:
            return Claim(new_id("scan"))
        try:
            return await run_blocking(
                self._services.pool, lambda: self._store.claim(namespace, request, by), by
            )
        except TimeoutError:
            message = "time ran out before the scan's key could be read"
            raise UnavailableError(message, retry_after_seconds=1) from None

    async def _scan(
        self,
        namespace: Namespace,
        request: ScanRequest,
        stop: StopTimes,
        claim: Claim,
        on_file: OnFile | None,
    ) -> tuple[JsonObject, int | None]:
        earlier = claim.earlier
        if earlier is None:
            return await self._scanner.scan(namespace, request, stop, on_file=on_file)
        again = to_run_again(earlier)
        if not again:
            return dict(earlier), None
        answer, _ = await self._scanner.scan(
            namespace, request, stop, earlier=earlier, again=again, on_file=on_file
        )
        return answer, None

    async def deliver(
        self,
        namespace: Namespace,
        answer: JsonObject,
        size: int | None,
        *,
        presigned: bool,
        by: Deadline,
    ) -> JsonObject:
        """Return the answer as it leaves: signed if asked for, and small enough. `size` is about
        that of its results, None where it is not known."""
        # Far below the limit nothing needs to be measured.
        small = size is not None and size <= self._delivery.spill_bytes // 2
        if small and not presigned:
            return answer
        places = [
            (n, name) for n, file in enumerate(answer["files"]) for name in file["retrievers"]
        ]
        cells = [answer["files"][n]["retrievers"][name] for n, name in places]

        def make() -> list[JsonObject]:
            signed = self._signed(namespace, cells) if presigned else [dict(c) for c in cells]
            spill_documents(
                signed,
                limit_bytes=self._delivery.spill_bytes,
                blobs=self._delivery.results,
                key_of=lambda cell: _documents_key(namespace, answer, cell),
                expires_s=self._delivery.presign_s,
            )
            return signed

        try:
            made = await run_blocking(self._services.pool, make, by)
        except TimeoutError:
            made = fail_largest(cells, limit_bytes=self._delivery.spill_bytes)
            warnings = ["time ran out before URLs were signed"] if presigned else []
            answer = {**answer, "warnings": [*answer["warnings"], *warnings]}
        changed = [
            late_cell(cell, new) if new["status"] != cell["status"] else new
            for cell, new in zip(cells, made, strict=True)
        ]
        files = [{**file, "retrievers": dict(file["retrievers"])} for file in answer["files"]]
        for (n, name), cell in zip(places, changed, strict=True):
            files[n]["retrievers"][name] = cell
        about = {name: value for name, value in answer.items() if name not in _RATED}
        return rated_scan(files, about)

    def _signed(self, namespace: Namespace, cells: list[JsonObject]) -> list[JsonObject]:
        readable = ReadableBuckets.of(namespace, self._delivery.assets_bucket)
        presigner = Presigner(self._delivery.buckets, readable, self._delivery.presign_s)
        # Equal files share one list of documents: signed once, and moved out once.
        lists = {id(cell["documents"]): cell["documents"] for cell in cells}
        signed = {
            key: [presigner.add_urls(document) for document in documents]
            for key, documents in lists.items()
        }
        return [{**cell, "documents": signed[id(cell["documents"])]} for cell in cells]

    async def _keep(
        self,
        namespace: Namespace,
        request: ScanRequest,
        claim: Claim,
        answer: JsonObject,
        by: Deadline,
    ) -> list[str]:
        """Keep the answer; return a warning if it could not be kept: it is answered all the
        same."""

        def keep() -> None:
            presigned = request.return_presigned_urls
            try:
                self._store.finish(namespace, claim, answer, presigned=presigned)
            except Exception:
                self._release(namespace, claim)
                raise

        try:
            await run_blocking(self._services.pool, keep, by)
        except TimeoutError:
            why = "time ran out"
        except TrawlError as error:
            why = error.message
        except Exception as error:
            _log.exception("a scan could not be kept")
            why = type(error).__name__
        else:
            return []
        return [f"the scan could not be kept, so it cannot be read again: {why}"]

    def _release(self, namespace: Namespace, claim: Claim) -> None:
        try:
            self._store.release(namespace, claim)
        except TrawlError as error:
            # The error that ends the scan is the caller's answer; the claim ends by its time.
            _log.warning("a scan's key was not freed: %s", error.message)

    async def _in_pool(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._services.pool, work)


@dataclass(slots=True)
class _Teller:
    """Tells files as they are done, each once, as they leave."""

    scans: Scans
    namespace: Namespace
    request: ScanRequest
    claim: Claim
    stop: StopTimes
    tell: OnFile
    warnings: list[str] = field(default_factory=list)
    told: set[int] = field(default_factory=set)

    async def __call__(self, file: JsonObject) -> None:
        """Tell one file."""
        alone = {"scan_id": self.claim.scan_id, "files": [file], "warnings": []}
        presigned = self.request.return_presigned_urls
        made = await self.scans.deliver(
            self.namespace, alone, 0, presigned=presigned, by=self.stop.answer
        )
        self.warnings += [one for one in made["warnings"] if one not in self.warnings]
        self.told.add(file["index"])
        await self.tell({"scan_id": self.claim.scan_id, **made["files"][0]})

    async def finish(self, answer: JsonObject) -> JsonObject:
        """Tell the files that were not told yet, and return the answer."""
        for file in answer["files"]:
            if file["index"] not in self.told:
                await self(file)
        return {**answer, "warnings": [*answer["warnings"], *self.warnings]}


def _documents_key(namespace: Namespace, answer: JsonObject, cell: JsonObject) -> str:
    folder = f"{namespace.namespace_id}/results/{answer['scan_id']}"
    return f"{folder}/{cell['execution_id']}.jsonl"

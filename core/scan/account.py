"""What a run comes to: its files and cells, those kept from an earlier call, and its retrievers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import NoTrackError
from core.models.scans import ScanRequest
from core.scan.answers import copied_cell, judged_cell, skipped_cell
from core.scan.files import FACTS
from core.scan.run import CellKey, ScanRun
from core.scan.targets import Target
from core.types import JsonObject


@dataclass(slots=True)
class Account:
    """The files of a run with their cells, those that were not to be run as they were before.

    A file is accounted once, when it is done, and stays what it was then: it may be on its way.
    """

    request: ScanRequest
    run: ScanRun
    earlier: JsonObject | None
    _files: dict[int, JsonObject] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)  # by leader, the file whose cells it has
    _made: dict[CellKey, JsonObject] = field(default_factory=dict)

    def files(self) -> list[JsonObject]:
        """Return every file, in order."""
        return [self.file(index) for index in range(len(self.request.files))]

    def file(self, index: int) -> JsonObject:
        """Return one file with its cells; what is not done has timed out."""
        if index not in self._files:
            self._files[index] = self._account(index)
        return self._files[index]

    def _account(self, index: int) -> JsonObject:
        run = self.run
        before = None if self.earlier is None else self.earlier["files"][index]
        leader = run.leaders.get(index, index)
        twin = self._first.setdefault(leader, index)
        cells: JsonObject = {} if before is None else dict(before["retrievers"])
        facts = run.facts.get(leader) or run.facts.get(index) or (before and _facts(before))
        for target in run.targets:
            if (index, target.name) not in run.wanted:
                continue
            key = (leader, target.name)
            if key in self._made:
                cells[target.name] = copied_cell(self._made[key])
            else:
                cells[target.name] = self._made[key] = _cell(run, index, target, facts)
        duplicate_of = None if twin == index else twin
        if before is not None and index not in run.leaders:
            duplicate_of = before["duplicate_of"]
        return {
            "index": index,
            "id": self.request.files[index].id,
            **(facts or dict.fromkeys(FACTS)),
            "duplicate_of": duplicate_of,
            "retrievers": {t.name: cells[t.name] for t in run.targets if t.name in cells},
        }


def looked_at(earlier: JsonObject | None) -> dict[int, str]:
    """Return the SHA-256 of the files of an earlier answer, by index, as far as they are known."""
    files = () if earlier is None else earlier["files"]
    return {file["index"]: file["sha256"] for file in files if file["sha256"] is not None}


def age_warnings(
    files: Sequence[JsonObject], run: ScanRun, versions: Mapping[str, int]
) -> list[str]:
    """Say which of the cells that were kept from an earlier call are of an older world."""
    kept = [
        (target, cell)
        for file in files
        for target in run.targets
        if (file["index"], target.name) not in run.wanted
        and (cell := file["retrievers"].get(target.name)) is not None
    ]
    changed: dict[str, int] = {}
    for target, cell in kept:
        if cell["retriever_version"] != target.retriever.version:
            name = f"an older version of the retriever {target.name}"
            changed[name] = changed.get(name, 0) + 1
        for place, version in ((cell["evidence"] or {}).get("snapshots") or {}).items():
            if versions.get(place, version) != version:
                name = f"an older version of the collection {place}"
                changed[name] = changed.get(name, 0) + 1
    return [
        f"{count} cells were kept from an earlier call, with {name}"
        for name, count in changed.items()
    ]


def _facts(file: JsonObject) -> JsonObject:
    return {name: file[name] for name in FACTS}


def _cell(run: ScanRun, index: int, target: Target, facts: JsonObject | None) -> JsonObject:
    result = run.result(index, target)
    if result is None:
        kinds, found = " or ".join(sorted(target.kinds)), (facts or {}).get("content_type")
        return skipped_cell(target, f"{target.name} takes {kinds}, and the file is {found}")
    if (result["error"] or {}).get("code") == NoTrackError.code:
        return skipped_cell(target, result["error"]["message"])
    return judged_cell(result, target, run.canary(target))


def describe_target(target: Target, run: ScanRun) -> JsonObject:
    """Return what the answer says of a retriever: which version ran, and what its scores mean."""
    canary = target.thresholds.canary
    fault = run.canary(target)
    return {
        "retriever_id": target.retriever.retriever_id,
        "retriever_name": target.name,
        "version": target.retriever.version,
        "input": target.input_name,
        "takes": sorted(target.kinds),
        "collection_ids": list(target.retriever.collection_ids),
        "thresholds": target.thresholds.to_json(),
        "canary": None
        if canary is None
        else {
            "document_id": canary,
            "found": fault is None,
            "reason": None if fault is None else fault.to_json(),
        },
    }

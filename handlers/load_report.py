"""What a load did, and which files it could not take and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that was not loaded, or not the whole of it, and why."""

    name: str
    reason: str

    def to_json(self) -> JsonObject:
        """Return it as `--json` prints it."""
        return {"file": self.name, "reason": self.reason}


@dataclass(slots=True)
class LoadReport:
    """What a load did. `updated` files had new fields alone; `other_kinds` are nothing that the
    extractor reads. `partial` ones are stored with less than the file holds. `stopped` by whoever
    ran it, before the end."""

    loaded: int = 0
    skipped: int = 0
    updated: int = 0
    stopped: bool = False
    failed: list[Problem] = field(default_factory=list)
    other_kinds: list[Problem] = field(default_factory=list)
    partial: list[Problem] = field(default_factory=list)

    def add(self, other: "LoadReport") -> None:
        """Add what another part of the load did."""
        self.loaded += other.loaded
        self.skipped += other.skipped
        self.updated += other.updated
        self.failed += other.failed
        self.other_kinds += other.other_kinds
        self.partial += other.partial

    def to_json(self) -> JsonObject:
        """Return it as `--json` prints it."""
        return {
            "loaded": self.loaded,
            "skipped": self.skipped,
            "updated": self.updated,
            "stopped": self.stopped,
            "failed": [problem.to_json() for problem in self.failed],
            "other_kinds": [problem.to_json() for problem in self.other_kinds],
            "partial": [problem.to_json() for problem in self.partial],
        }


def group_problems(problems: Iterable[Problem]) -> list[tuple[str, Sequence[str]]]:
    """Return each reason with the files that it is of, the most frequent reason first."""
    groups: dict[str, list[str]] = {}
    for problem in problems:
        groups.setdefault(problem.reason, []).append(problem.name)
    return sorted(groups.items(), key=lambda group: -len(group[1]))

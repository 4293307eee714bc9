"""What a report's parts are drawn from, and what the likeness is that its verdicts are about."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.types import JsonObject
from handlers.report.context import Context
from handlers.report.match import match_of
from handlers.report.thumbnails import ShowsFiles
from handlers.report.words import Likeness, kind_of_likeness

FOUND: Final = frozenset({"block", "review"})


@dataclass(frozen=True, slots=True)
class Sources:
    """What cells are drawn from, beside their own answer. `retrievers` by name."""

    context: Context
    retrievers: dict[str, JsonObject]
    gallery: ShowsFiles | None

    def deciding_kinds(self, files: Iterable[JsonObject]) -> set[Likeness]:
        """Return what the verdicts of files are about: by what was found, else looked for."""
        kinds: set[Likeness] = set()
        for file in files:
            for name, cell in file["retrievers"].items():
                if cell["verdict"] == file["verdict"]:
                    found = match_of(cell) if cell["verdict"] in FOUND else None
                    kinds |= self.kinds([name]) if found is None else {self._kind(found.feature)}
        return kinds

    def kinds(self, names: Iterable[str]) -> set[Likeness]:
        """Return what retrievers look for."""
        chosen = [self.retrievers[name] for name in names if name in self.retrievers]
        return {self._kind(uri) for one in chosen for uri in one.get("thresholds") or ()}

    def _kind(self, feature: str) -> Likeness:
        return kind_of_likeness(self.context.feature(feature).extractor)

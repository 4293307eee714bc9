"""How far a chunk is: one record, replaced as a whole, that names the files written so far.

A line of a chunk is done once, and only once, since the record that says so names the files with
its results and errors, and replaces the version that its writer has read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

from core.types import JsonObject

Kind = Literal["results", "errors"]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of results or errors: `items` rows about `lines` lines of the manifest.

    Of an errors file, `run` is the run that made it, and `retry_lines` how many of its lines have
    an error that a later run may try again.
    """

    kind: Kind
    key: str
    items: int
    lines: int
    bytes: int
    first_line: int
    run: int
    retry_lines: int
    codes: dict[str, int]

    @classmethod
    def from_json(cls, raw: JsonObject) -> Self:
        """Read what `asdict` wrote."""
        return cls(**raw)

    def is_due(self, run: int) -> bool:
        """Say whether this run has to try its errors again."""
        return self.retry_lines > 0 and self.run < run


@dataclass(frozen=True, slots=True)
class ChunkState:
    """`position` of the chunk's `lines` lines are done; `version` is its record's (0: none yet).

    `seconds` and `gb_seconds` are what the work took, `calls` how many calls of the
    function saved something, `write_units` (DynamoDB's: kilobytes) what all saves wrote here,
    `media_gb_seconds` and `media_calls` what the work asked of media functions.
    """

    number: int
    lines: int
    position: int = 0
    parts: tuple[Part, ...] = ()
    seconds: float = 0.0
    gb_seconds: float = 0.0
    calls: int = 0
    write_units: int = 0
    media_gb_seconds: float = 0.0
    media_calls: int = 0
    version: int = 0

    @classmethod
    def from_json(cls, raw: JsonObject, version: int) -> Self:
        """Read a record's value."""
        parts = tuple(Part.from_json(part) for part in raw["parts"])
        return cls(**{**raw, "parts": parts, "version": version})

    def to_json(self) -> JsonObject:
        """Return the record's value."""
        body = asdict(self)
        del body["version"]
        return {**body, "parts": [asdict(part) for part in self.parts]}

    @property
    def is_whole(self) -> bool:
        """True once every line has a result or an error."""
        return self.position >= self.lines

    def due(self, run: int) -> Part | None:
        """Return a file of errors that this run has to try again."""
        return next((part for part in self.parts if part.is_due(run)), None)

    def advanced(self, lines: int, parts: Sequence[Part]) -> Self:
        """Return the state once that many more lines are done, in these files."""
        return replace(self, position=self.position + lines, parts=(*self.parts, *parts))

    def replaced(self, old: Part, parts: Sequence[Part]) -> Self:
        """Return the state with other files in place of a file of errors."""
        kept = [part for part in self.parts if part.key != old.key]
        return replace(self, parts=(*kept, *parts))


@dataclass(frozen=True, slots=True)
class Totals:
    """What the chunks of a job come to."""

    done: int
    succeeded: int
    failed: int
    retryable: int
    chunks: int
    chunks_done: int
    codes: dict[str, int]
    seconds: float
    gb_seconds: float
    calls: int
    saves: int
    write_units: int
    media_gb_seconds: float
    media_calls: int
    files: int


def add_up(states: Iterable[ChunkState], *, due_run: int | None = None) -> Totals:
    """Return the totals. `due_run` is the run that is under way: what it has to try again counts
    as not done."""
    states = list(states)
    errors = [part for state in states for part in state.parts if part.kind == "errors"]
    due = 0 if due_run is None else sum(p.retry_lines for p in errors if p.is_due(due_run))
    position = sum(state.position for state in states)
    failed = sum(part.lines for part in errors)
    codes: Counter[str] = Counter()
    for part in errors:
        codes.update(part.codes)
    return Totals(
        done=position - due,
        succeeded=position - failed,
        failed=failed - due,
        retryable=sum(part.retry_lines for part in errors),
        chunks=len(states),
        chunks_done=sum(_is_done(state, due_run) for state in states),
        codes=dict(sorted(codes.items())),
        seconds=sum(state.seconds for state in states),
        gb_seconds=sum(state.gb_seconds for state in states),
        calls=sum(state.calls for state in states),
        saves=sum(state.version for state in states),
        write_units=sum(state.write_units for state in states),
        media_gb_seconds=sum(state.media_gb_seconds for state in states),
        media_calls=sum(state.media_calls for state in states),
        files=sum(len(state.parts) for state in states),
    )


def _is_done(state: ChunkState, due_run: int | None) -> bool:
    return state.is_whole and (due_run is None or state.due(due_run) is None)

"""Files against a retriever, in as few calls as they fit: one result per file, whatever happens."""

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.models.media_inputs import only_media_input
from core.types import JsonObject
from handlers.client import Client, api_path
from handlers.client_errors import ApiError, ClientError
from handlers.loading import MAX_FILE_BYTES, encode_file, find_files

MAX_QUERIES: Final = 50
# One call's files; as base64 they fit what the local server takes. Where less fits, the server
# says so and the files go in halves.
_CALL_BYTES: Final = 45_000_000
_REMOTE: Final = ("https://", "http://", "s3://", "data:")

# Told in words what is being done, each time that it changes.
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reference:
    """A file to scan, as it was named: a path, a URL or an `s3://` URI."""

    name: str

    @property
    def is_local(self) -> bool:
        """True for a path."""
        return not self.name.lower().startswith(_REMOTE)

    @property
    def text(self) -> str:
        """The name as text, which those of some file systems are not."""
        return self.name.encode("utf-8", "replace").decode()

    @property
    def label(self) -> str:
        """The name as it may be kept or handed on: of an address what may be a signature or a
        password is left out, of a data URI the data."""
        text = self.text
        if self.is_local:
            return text
        if text.lower().startswith("data:"):
            return "data:…"
        scheme, mark, rest = text.partition("?")[0].partition("://")
        host, slash, path = rest.partition("/")
        return scheme + mark + host.rpartition("@")[2] + slash + path

    @property
    def size(self) -> int:
        """Bytes that it adds to a call; of a file that is not there, 0."""
        try:
            return Path(self.name).stat().st_size if self.is_local else len(self.name)
        except OSError:
            return 0

    def read(self) -> str:
        """Return what the query carries; `OSError` or `ValueError` if there is no such file."""
        if not self.is_local:
            return self.name
        path = Path(self.name)
        # Before it is opened: a pipe would be waited for, and a device has no end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
        if self.size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES // 1_000_000} MB")
        return encode_file(path.read_bytes())


def media_input(retriever: Mapping[str, Any]) -> str:
    """Return the name of a retriever's only media input; `ClientError` if it has not just one."""
    schema = retriever.get("input_schema") or {}
    name = only_media_input({name: entry["type"] for name, entry in schema.items()})
    if name is not None:
        return name
    known = ", ".join(f"{name} ({entry['type']})" for name, entry in schema.items()) or "none"
    raise ClientError(
        f"which input of {retriever['retriever_name']} takes the file? "
        f"Its inputs are: {known}. Name one with --input"
    )


@dataclass(frozen=True, slots=True)
class Scanner:
    """One retriever, and how its batches are sent: the `limit` nearest documents of each file."""

    client: Client
    retriever_id: str
    input_name: str
    concurrency: int = 5
    limit: int = 3

    def scan(
        self,
        references: Sequence[Reference],
        *,
        say: Say = lambda _text: None,
    ) -> list[JsonObject]:
        """Return one batch result per reference, in their order.

        A file that cannot be read, or is too large to send, has a failed result like one that the
        service could not read. Raises `ClientError` if a call fails as a whole.
        """
        results: list[JsonObject] = []
        for group in group_references(references):
            answered = f"{len(results)} of {len(references)} files answered"
            contents, failed = read_group(group, answered, say)
            queries = [{"inputs": {self.input_name: content}} for content in contents.values()]
            found = dict(zip(contents, self.execute(queries), strict=True))
            found |= {index: failed_result(why) for index, why in failed.items()}
            results += [found[index] for index in range(len(group))]
        return results

    def execute(self, queries: Sequence[JsonObject]) -> list[JsonObject]:
        """Run queries as one batch; as halves, where the server does not take so large a body."""
        if not queries:
            return []
        path = api_path("retrievers", self.retriever_id, "execute", "batch")
        settings = {"limit": self.limit}
        body = {"queries": queries, "concurrency": self.concurrency, "settings": settings}
        try:
            answer = self.client.call("POST", path, body)
        except ApiError as error:
            if error.status != 413:
                raise
            if len(queries) == 1:
                return [failed_result(str(error))]
            half = len(queries) // 2
            return [*self.execute(queries[:half]), *self.execute(queries[half:])]
        results: list[JsonObject] = answer["results"]
        return results


def group_references(references: Sequence[Reference]) -> Iterator[list[Reference]]:
    """Yield the references in groups that fit one call, in their order."""
    group: list[Reference] = []
    total = 0
    for reference in references:
        size = min(reference.size, MAX_FILE_BYTES)
        if group and (len(group) == MAX_QUERIES or total + size > _CALL_BYTES):
            yield group
            group, total = [], 0
        group.append(reference)
        total += size
    if group:
        yield group


def read_group(
    group: Sequence[Reference], so_far: str, say: Say
) -> tuple[dict[int, str], dict[int, str]]:
    """Return what a call carries of each file by its index, and why others cannot be read; `say`
    is told which, after `so_far`."""
    contents: dict[int, str] = {}
    failed: dict[int, str] = {}
    for index, reference in enumerate(group):
        if reference.is_local:
            say(f"{so_far}; reading {reference.name}")
        try:
            contents[index] = reference.read()
        except (OSError, ValueError) as error:
            failed[index] = getattr(error, "strerror", None) or str(error)
    size = sum(map(len, contents.values()))
    say(f"{so_far}; waiting for {len(contents)}, {size / 1_000_000:.1f} MB as sent")
    return contents, failed


def name_files(names: Sequence[str], warn: Say) -> list[Reference]:
    """Return the files that were named; a folder stands for those below it, by path. Hidden ones
    are left out, and `warn` is told. `ClientError` for a folder without any, or that cannot be
    read."""
    found: list[Reference] = []
    hidden: list[Path] = []
    for name in names:
        reference = Reference(name)
        if not reference.is_local or not Path(name).is_dir():
            found.append(reference)
            continue
        below = find_files(Path(name), fail=_refuse_folder, leave_out=hidden.append)
        if not below:
            raise ClientError(f"there are no files in the folder {name}")
        found += [Reference(str(file.path)) for file in below]
    if hidden:
        # Nobody may take them for checked.
        first = ", ".join(map(str, hidden[:3]))
        more = f" and {len(hidden) - 3} more" if len(hidden) > 3 else ""
        warn(f"hidden, and therefore not looked at unless named: {first}{more}")
    return found


def _refuse_folder(error: OSError) -> None:
    # A file that was not looked at would be missing without a word.
    raise ClientError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error


def failed_result(message: str) -> JsonObject:
    """Return the result of a file that never reached the service."""
    return {
        "status": "failed",
        "complete": False,
        "incomplete": [],
        "documents": [],
        "error": {"code": "file_unreadable", "message": message, "retryable": False},
        "evidence": None,
    }

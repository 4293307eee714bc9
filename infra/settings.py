"""What a deployment may choose, read from CDK context (`cdk deploy -c stage=prod -c ...`)."""

import re
from dataclasses import dataclass, fields
from typing import Any, Protocol

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class ContextError(Exception):
    """A context value is wrong; the message names it and says what is wanted."""


class HasContext(Protocol):
    """A construct node, or whatever else context can be read from."""

    def try_get_context(self, key: str) -> Any:
        """Return the value given for `key`, None if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InfraSettings:
    """One deployment's choices. The defaults deploy a small, safe stack."""

    # Names the stack (`trawl-{stage}`), so that several live in one account.
    stage: str = "dev"
    # The Lambda runtime; the bundled wheels are for the same version.
    python: str = "3.13"
    # Also the CPU: Lambda gives one vCPU per 1,769 MB.
    memory_mb: int = 3538
    # The media function's: 1.5 GB decodes 100 megapixels with transparency.
    media_memory_mb: int = 2048
    # How many files may be read at once, set aside from the account's own limit; 0 sets none.
    media_concurrency: int = 0
    # How many chunks of one bulk job are worked on at once, each by a call of the job function.
    job_concurrency: int = 20
    # Buckets of the owner's, comma-separated, that namespaces may register: the API may read them.
    read_buckets: str = ""
    log_days: int = 30
    # How long spilled answers stay in the results bucket.
    results_days: int = 7
    # Keep table and buckets when the stack is destroyed. False deletes the data with it.
    retain: bool = True
    # Requests per second that the API lets through, and its burst.
    rate: int = 50
    burst: int = 100
    # The Python whose wheels are bundled, if not the runtime's: an emulator runs its own.
    wheels: str = ""
    # False leaves third-party libraries out of the zip: synthesizes in seconds, cannot run.
    bundle: bool = True

    @classmethod
    def from_context(cls, node: HasContext) -> "InfraSettings":
        """Read every field's context value; `ContextError` names the first one that is wrong."""
        given = {item.name: node.try_get_context(item.name) for item in fields(cls)}
        values = {
            item.name: _read(item.name, given[item.name], item.default)
            for item in fields(cls)
            if given[item.name] is not None
        }
        settings = cls(**values)
        settings._check()
        return settings

    @property
    def bucket_names(self) -> tuple[str, ...]:
        """The names in `read_buckets`."""
        return tuple(name.strip() for name in self.read_buckets.split(",") if name.strip())

    def _check(self) -> None:
        """Refuse what CloudFormation would refuse half way through a deploy."""
        wanted = {
            "stage": (
                re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.stage) is not None,
                "1-20 lowercase letters, digits and hyphens, a letter first",
            ),
            "python": (
                re.fullmatch(r"3\.1[2-9]", self.python) is not None,
                "a Lambda Python runtime from 3.12",
            ),
            "memory_mb": (128 <= self.memory_mb <= 10_240, "128 to 10240"),
            "media_memory_mb": (128 <= self.media_memory_mb <= 10_240, "128 to 10240"),
            "media_concurrency": (0 <= self.media_concurrency <= 100_000, "0 to 100000"),
            "job_concurrency": (1 <= self.job_concurrency <= 10_000, "1 to 10000"),
            "read_buckets": (
                all(_BUCKET.fullmatch(name) for name in self.bucket_names),
                "names of buckets, with commas between them",
            ),
            "wheels": (
                re.fullmatch(r"(3\.1[1-9])?", self.wheels) is not None,
                "a Python version from 3.11",
            ),
            "log_days": (self.log_days in LOG_RETENTION, f"one of {list(LOG_RETENTION)}"),
            "results_days": (1 <= self.results_days <= 365, "1 to 365"),
            "rate": (1 <= self.rate <= 10_000, "1 to 10000"),
            "burst": (1 <= self.burst <= 5_000, "1 to 5000"),
        }
        for name, (holds, want) in wanted.items():
            if not holds:
                raise ContextError(f"context {name}={getattr(self, name)!r}: want {want}")


# Days of retention -> their names in CDK's `RetentionDays`. Only the names: importing CDK starts
# node, which reading settings does not need.
LOG_RETENTION = {
    1: "ONE_DAY",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    90: "THREE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
    731: "TWO_YEARS",
}

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _read(name: str, raw: Any, default: Any) -> Any:
    """Return `raw` in the type of `default`: `-c name=value` gives strings, cdk.json any JSON."""
    text = str(raw).strip()
    if isinstance(default, bool):
        if text.lower() not in _BOOLEANS:
            raise ContextError(f"context {name}={raw!r}: want true or false")
        return _BOOLEANS[text.lower()]
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError as error:
            raise ContextError(f"context {name}={raw!r}: want a whole number") from error
    return text

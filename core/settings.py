"""All that the environment may say, as one typed, frozen object that is read once.

Each variable's name stands once, beside its field. `infra` sets the same names through
`variables`, so a deployment cannot set one that nothing reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import TrawlError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    Network = IPv4Network | IPv6Network

Parse = Callable[[str], Any]


class SettingsError(TrawlError):
    """The environment is wrong; the message names every bad variable and what it wants."""

    code = "bad_settings"


def _text(raw: str) -> str:
    return raw


def _path(raw: str) -> Path:
    return Path(raw).expanduser()


def _integer(low: int, high: int) -> Parse:
    def parse(raw: str) -> int:
        wanted = f"want a whole number from {low} to {high}"
        try:
            number = int(raw)
        except ValueError as error:
            raise ValueError(wanted) from error
        if not low <= number <= high:
            raise ValueError(wanted)
        return number

    return parse


def _networks(raw: str) -> "tuple[Network, ...]":
    from ipaddress import ip_network  # only paid for by those who set this

    return tuple(ip_network(part.strip()) for part in raw.split(",") if part.strip())


def _names(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def _pairs(raw: str) -> tuple[tuple[str, str], ...]:
    found = [part.strip().partition("=") for part in raw.split(",") if part.strip()]
    if not all(separator and first and last for first, separator, last in found):
        raise ValueError("want name=value, with commas between several")
    return tuple((first.strip().lower(), last.strip()) for first, _, last in found)


def _allowed(raw: str) -> bool:
    if raw != "allowed":
        raise ValueError("want 'allowed', or nothing")
    return True


def _setting(name: str, parse: Parse, default: Any = None) -> Any:
    """Declare a field: its environment variable, how it is read, and its default."""
    return field(default=default, metadata={"variable": name, "parse": parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process needs to know before it starts; on AWS and on a laptop alike.

    Either `data_dir` is set (a laptop), or `table` and all three buckets are (AWS).
    """

    table: str | None = _setting("TRAWL_TABLE", _text)
    assets_bucket: str | None = _setting("TRAWL_ASSETS_BUCKET", _text)
    index_bucket: str | None = _setting("TRAWL_INDEX_BUCKET", _text)
    results_bucket: str | None = _setting("TRAWL_RESULTS_BUCKET", _text)
    data_dir: Path | None = _setting("TRAWL_DATA_DIR", _path)
    # On AWS, the function that reads media; None: child processes of this one do.
    media_function: str | None = _setting("TRAWL_MEDIA_FUNCTION", _text)
    # The memory of such a function, of which a job's cost is reckoned.
    media_memory_mb: int = _setting("TRAWL_MEDIA_MEMORY_MB", _integer(128, 10_240), 128)
    # On AWS, functions of their own for extractors that are extras: `extra=function`, with commas.
    media_extras: tuple[tuple[str, str], ...] = _setting("TRAWL_MEDIA_EXTRAS", _pairs, ())
    # The S3 vector bucket of collections with `"engine": "s3vectors"`; None: there can be none.
    vector_bucket: str | None = _setting("TRAWL_VECTOR_BUCKET", _text)
    # On AWS, the addresses of two queues: events of new files, and those that were given up on.
    ingest_queue: str | None = _setting("TRAWL_INGEST_QUEUE", _text)
    ingest_dead_letters: str | None = _setting("TRAWL_INGEST_DEAD_LETTERS", _text)

    # On AWS, the ARN of the state machine that runs jobs; None: threads of this process do.
    job_state_machine: str | None = _setting("TRAWL_JOB_STATE_MACHINE", _text)

    # Threads of one search; None: as many as the process has CPUs.
    threads: int | None = _setting("TRAWL_THREADS", _integer(1, 256))
    # Memory for index images in the process, least recently used out first.
    cache_mb: int = _setting("TRAWL_CACHE_MB", _integer(1, 1_000_000), 1024)
    # Past this many bytes of answer the largest results' documents move to the results bucket.
    # Lambda answers at most 6 MB, and base64, if the answer needs it, adds a third.
    spill_bytes: int = _setting("TRAWL_SPILL_BYTES", _integer(1_000, 1_000_000_000), 4_500_000)
    # How long a presigned URL lives, at most; S3 itself allows 7 days.
    presign_s: int = _setting("TRAWL_PRESIGN_S", _integer(1, 604_800), 3600)
    # How long results are kept in the results bucket; a deployment's bucket removes them by then.
    results_days: int = _setting("TRAWL_RESULTS_DAYS", _integer(1, 365), 7)
    # The part of the platform's remaining time that is kept for presigning and answering.
    deadline_reserve_ms: int = _setting("TRAWL_DEADLINE_RESERVE_MS", _integer(0, 60_000), 1500)
    # The largest media file that is fetched, and how long one fetch may take.
    fetch_max_mb: int = _setting("TRAWL_FETCH_MAX_MB", _integer(1, 10_000), 50)
    fetch_timeout_s: int = _setting("TRAWL_FETCH_TIMEOUT_S", _integer(1, 900), 15)
    # Non-public networks the fetcher may nonetheless reach, e.g. a store inside the VPC.
    allowed_networks: "tuple[Network, ...]" = _setting("TRAWL_ALLOWED_NETWORKS", _networks, ())

    # Models elsewhere that collections may choose, by their ids in Bedrock; none: none.
    bedrock_models: tuple[str, ...] = _setting("TRAWL_BEDROCK_MODELS", _names, ())
    # SageMaker endpoints that collections may choose, by name; none: none.
    sagemaker_endpoints: tuple[str, ...] = _setting("TRAWL_SAGEMAKER_ENDPOINTS", _names, ())
    # Model files for `image.onnx`, `name=path` with commas; names are in lowercase. Deployed, the
    # paths are those in the function's own zip.
    onnx_models: tuple[tuple[str, str], ...] = _setting("TRAWL_ONNX_MODELS", _pairs, ())
    # Whether pictures may be searched for faces, which are biometric data (docs/faces.md).
    faces: bool = _setting("TRAWL_FACES", _allowed, False)
    # Which key may be sent to which host by `https.embedder`: `host=reference`, a reference being
    # env:NAME or an ARN of Secrets Manager or SSM. A collection can use no other pair.
    embedder_secrets: tuple[tuple[str, str], ...] = _setting("TRAWL_EMBEDDER_SECRETS", _pairs, ())

    # Web origins that the API's answers name as allowed, behind a gateway that does not say so.
    cors_origins: tuple[str, ...] = _setting("TRAWL_CORS_ORIGINS", _names, ())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; `SettingsError` names every variable that is wrong, all at once.

        An empty value counts as not set. Variables of other names are not looked at.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for item in fields(cls):
            raw = environment.get(_variable(item), "").strip()
            if not raw:
                continue
            try:
                values[item.name] = item.metadata["parse"](raw)
            except ValueError as error:
                problems.append(f"{_variable(item)}={raw!r}: {error}")
        settings = cls(**values)
        problems += settings._conflicts()
        if problems:
            raise SettingsError("bad environment: " + "; ".join(problems))
        return settings

    @classmethod
    def local(cls, data_dir: Path, environment: Mapping[str, str]) -> "Settings":
        """Read the settings of a laptop: `data_dir` is given, AWS resources are not looked at."""
        names = {*_AWS, *_NEED_AWS}
        aws = {_variable(item) for item in fields(cls) if item.name in names}
        rest = {name: raw for name, raw in environment.items() if name not in aws}
        return cls.from_environment({**rest, variable_of("data_dir"): str(data_dir)})

    def _conflicts(self) -> list[str]:
        """Return what is wrong with the settings as a whole."""
        given = [name for name in _AWS if getattr(self, name) is not None]
        missing = [variable_of(name) for name in _AWS if name not in given]
        # Large files reach the media function, and a job its state machine, through the buckets.
        alone = [name for name in _NEED_AWS if getattr(self, name) and not given]
        if alone:
            return [f"{variable_of(alone[0])} is set without {variable_of(_AWS[0])}"]
        if given and self.data_dir is not None:
            return [f"{variable_of('data_dir')} and {variable_of(given[0])} exclude each other"]
        if given and missing:
            return [f"{', '.join(missing)} not set, while {variable_of(given[0])} is"]
        return []


_AWS = ("table", "assets_bucket", "index_bucket", "results_bucket")
_NEED_AWS = (
    *("media_function", "media_extras", "job_state_machine"),
    *("ingest_queue", "ingest_dead_letters"),
)


def _variable(item: "Field[Any]") -> str:
    name: str = item.metadata["variable"]
    return name


def variable_of(setting: str) -> str:
    """Return the environment variable of a setting; an unknown setting is a `KeyError`."""
    return {item.name: _variable(item) for item in fields(Settings)}[setting]


def variables(**values: object) -> dict[str, str]:
    """Return the environment that gives these settings their values, for a deployment to set.

    Values are written as they are (a name may be a CDK token, resolved only on deploy).
    """
    return {variable_of(setting): str(value) for setting, value in values.items()}

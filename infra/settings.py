"""What a deployment may choose, read from CDK context (`cdk deploy -c stage=prod -c ...`)."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_ORIGIN = re.compile(r"\*|https?://[a-z0-9.-]+(:\d{1,5})?")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[A-Za-z0-9-]+")
_MODEL = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?")
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_HOST_KEY = re.compile(
    r"[a-z0-9.-]+=arn:aws[a-z-]*:"
    r"(secretsmanager:[a-z0-9-]+:\d{12}:secret:|ssm:[a-z0-9-]+:\d{12}:parameter/)"
    r"[A-Za-z0-9/_+.@-]+"
)
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


# Extras that extractors need and a deployment may have, each in a function of its own.
MEDIA_EXTRAS = ("logo", "onnx", "face")


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
    # The media functions', each: 1.5 GB decodes 100 megapixels with transparency.
    media_memory_mb: int = 2048
    # How many files each of them may read at once, set aside from the account's own limit; 0 sets
    # none.
    media_concurrency: int = 0
    # Extras with extractors that are deployed too, comma-separated, each in a media function of its
    # own. `face` allows biometric data to be made: see docs/faces.md.
    media_extras: str = ""
    # Model files for `image.onnx`, `name=path`, comma-separated: of this machine, and uploaded.
    onnx_models: str = ""
    # How many chunks of one bulk job are worked on at once, each by a call of the job function.
    job_concurrency: int = 20
    # How many batches of ten uploaded files are taken in at once.
    ingest_concurrency: int = 5
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
    # The API's versions are published with a snapshot of their started process: a cold start loads
    # that instead of starting Python. AWS bills it by memory and time.
    snap_start: bool = True
    # The gateway: `http`, or `rest`, which costs more and takes a firewall. A change of it is a
    # change of address.
    api: str = "http"
    # Web pages that may call the API, comma-separated: `https://app.example.com`, or `*`.
    cors_origins: str = ""
    # A name of one's own, and its certificate (ACM, in the stack's region).
    domain: str = ""
    certificate_arn: str = ""
    # The Route 53 zone that gets the name's records, if any: its id and its name.
    hosted_zone_id: str = ""
    hosted_zone_name: str = ""
    # A web firewall with AWS's common rules and a limit per address. Needs `api: rest`.
    waf: bool = False
    # Requests that one address may send in five minutes, past which the firewall refuses them.
    waf_rate: int = 2000
    # A vector bucket, for collections with `"engine": "s3vectors"`: billed by what is in it.
    s3vectors: bool = False
    # Embedding models that collections may use, comma-separated: their ids in Bedrock, and names of
    # SageMaker endpoints. What is sent to them is billed, and leaves for them.
    bedrock_models: str = ""
    sagemaker_endpoints: str = ""
    # Which key `https.embedder` may send where: `host=ARN`, comma-separated, of secrets in Secrets
    # Manager or of SSM parameters.
    embedder_secrets: str = ""
    # Who is told of alarms; AWS asks the address to confirm.
    alarm_email: str = ""
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

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins in `cors_origins`."""
        return tuple(name.strip() for name in self.cors_origins.split(",") if name.strip())

    @property
    def model_files(self) -> tuple[tuple[str, Path], ...]:
        """The names and paths in `onnx_models`."""
        pairs = [part.partition("=") for part in self.names_in("onnx_models")]
        return tuple((name.strip(), Path(path.strip()).expanduser()) for name, _, path in pairs)

    def names_in(self, setting: str) -> tuple[str, ...]:
        """Return the parts of a setting that is a list with commas."""
        listed: str = getattr(self, setting)
        return tuple(name.strip() for name in listed.split(",") if name.strip())

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
            "ingest_concurrency": (2 <= self.ingest_concurrency <= 1_000, "2 to 1000"),
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
            **self._extra_rules(),
            **self._model_rules(),
            **self._gateway_rules(),
            "rate": (1 <= self.rate <= 10_000, "1 to 10000"),
            "burst": (1 <= self.burst <= 5_000, "1 to 5000"),
        }
        for name, (holds, want) in wanted.items():
            if not holds:
                raise ContextError(f"context {name}={getattr(self, name)!r}: want {want}")

    def _extra_rules(self) -> dict[str, tuple[bool, str]]:
        extras = self.names_in("media_extras")
        names = [name for name, _ in self.model_files]
        missing = [str(path) for _, path in self.model_files if not path.is_file()]
        named = all(map(_MODEL_NAME.fullmatch, names)) and len(set(names)) == len(names)
        return {
            "media_extras": (
                set(extras) <= set(MEDIA_EXTRAS) and len(set(extras)) == len(extras),
                f"some of {', '.join(MEDIA_EXTRAS)}, with commas between them",
            ),
            "onnx_models": (
                bool(names) == ("onnx" in extras) and named and not missing,
                "name=path, with commas between several, names in lowercase, of files that are "
                "there; with `onnx` in media_extras and only with it"
                + (f". There is no file {', '.join(missing)}" if named and missing else ""),
            ),
        }

    def _model_rules(self) -> dict[str, tuple[bool, str]]:
        kinds = {
            "bedrock_models": (_MODEL, "ids of models or inference profiles in Bedrock"),
            "sagemaker_endpoints": (_ENDPOINT, "names of endpoints"),
            "embedder_secrets": (_HOST_KEY, "host=ARN of Secrets Manager or SSM, no wildcards"),
        }
        return {
            name: (
                all(pattern.fullmatch(each) for each in self.names_in(name)),
                f"{want}, with commas between them",
            )
            for name, (pattern, want) in kinds.items()
        }

    def _gateway_rules(self) -> dict[str, tuple[bool, str]]:
        return {
            "api": (self.api in ("http", "rest"), "http or rest"),
            "cors_origins": (
                all(_ORIGIN.fullmatch(origin) for origin in self.origins),
                "origins such as https://app.example.com, with commas between them, or *",
            ),
            "domain": (
                not self.domain or _DOMAIN.fullmatch(self.domain) is not None,
                "a name such as api.example.com, in lowercase",
            ),
            "certificate_arn": (
                bool(self.certificate_arn) == bool(self.domain)
                and (not self.domain or _CERTIFICATE.fullmatch(self.certificate_arn) is not None),
                "the ARN of an ACM certificate, with `domain` and only with it",
            ),
            "hosted_zone_id": (
                not self.hosted_zone_id
                or (
                    bool(self.domain)
                    and re.fullmatch(r"Z[A-Z0-9]+", self.hosted_zone_id) is not None
                ),
                "a zone's id, with `domain`",
            ),
            "hosted_zone_name": (
                bool(self.hosted_zone_name) == bool(self.hosted_zone_id)
                and (
                    not self.hosted_zone_name
                    or f".{self.domain}".endswith(f".{self.hosted_zone_name}")
                ),
                "the name of that zone, which `domain` lies in",
            ),
            "waf": (
                not self.waf or self.api == "rest",
                "api=rest with it: AWS attaches no firewall to HTTP APIs",
            ),
            "waf_rate": (10 <= self.waf_rate <= 2_000_000_000, "10 to 2000000000"),
            "alarm_email": (
                not self.alarm_email or _EMAIL.fullmatch(self.alarm_email) is not None,
                "an e-mail address",
            ),
        }


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

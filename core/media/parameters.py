"""The parameters that extractors take from a collection, as data, and what is wrong with them.

They are fixed when a collection is made: references and queries must go through the same model.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from core.errors import Problem
from core.types import JsonObject

# What may be said of a secret: where it lies. Itself it is never stored, and so never shown.
_SECRET: Final = re.compile(
    r"env:[A-Za-z_][A-Za-z0-9_]{0,127}"
    r"|arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+"
    r"|arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/[A-Za-z0-9/_.-]+"
)
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,199}")
_ENDPOINT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")

# Returns what is wanted instead, None for a value that will do.
Check = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. Without a default it must be given, unless it is optional."""

    name: str
    description: str
    check: Check = field(repr=False)
    default: Any = None
    optional: bool = False

    def to_json(self) -> JsonObject:
        """Return it as the list of extractors shows it."""
        body: JsonObject = {"name": self.name, "description": self.description}
        if self.default is not None:
            return {**body, "default": self.default}
        return {**body, "required": not self.optional}


def with_defaults(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> JsonObject:
    """Return the given values and the defaults of the others; None for what is optional."""
    return {each.name: given.get(each.name, each.default) for each in parameters}


def parameter_problems(
    parameters: Sequence[Parameter], given: Mapping[str, Any], path: str
) -> list[Problem]:
    """Return everything that is wrong with the given parameters."""
    known = {each.name: each for each in parameters}
    problems = [
        Problem(f"{path}.{name}", f"unknown parameter {name!r}", "extra_forbidden", tuple(known))
        for name in given
        if name not in known
    ]
    for each in parameters:
        if each.name not in given:
            if each.default is None and not each.optional:
                message = f"{each.name} is required: {each.description}"
                problems.append(Problem(f"{path}.{each.name}", message, "missing"))
            continue
        wanted = each.check(given[each.name])
        if wanted is not None:
            problems.append(Problem(f"{path}.{each.name}", f"want {wanted}"))
    return problems


def one_of(*accepted: Any) -> Check:
    """Accept these values, of the same type."""

    def check(value: Any) -> str | None:
        same = any(value == each and type(value) is type(each) for each in accepted)
        return None if same else "one of " + ", ".join(str(each) for each in accepted)

    return check


def whole(low: int, high: int) -> Check:
    """Accept whole numbers from `low` to `high`."""

    def check(value: Any) -> str | None:
        right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if right else f"a whole number from {low} to {high}"

    return check


def matching(pattern: re.Pattern[str], wanted: str) -> Check:
    """Accept text of that pattern, all of it."""

    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and pattern.fullmatch(value) else wanted

    return check


def _three_numbers(value: Any) -> str | None:
    right = isinstance(value, list | tuple) and len(value) == 3
    if not right or any(isinstance(n, bool) or not isinstance(n, int | float) for n in value):
        return "three numbers: of red, green and blue"
    return None


def _three_divisors(value: Any) -> str | None:
    wrong = _three_numbers(value)
    if wrong is None and not all(n > 0 for n in value):
        return "three numbers above 0"
    return wrong


def _https_url(value: Any) -> str | None:
    wanted = "an https:// URL without a user name, password or fragment"
    if not isinstance(value, str) or len(value) > 2000 or not value.isprintable():
        return wanted
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return wanted
    plain = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
    return None if plain and not parts.fragment and port != 0 and " " not in value else wanted


_REFERENCE = (
    "where the secret lies, never the secret: env:NAME, or the ARN of a Secrets Manager secret or "
    "of an SSM parameter"
)
_BATCH = Parameter("batch", "Inputs in one request, at most.", whole(1, 64), default=16)

TITAN_PARAMETERS: Final = (
    Parameter(
        "model",
        "The model's id in Bedrock.",
        matching(_MODEL, "a model's id"),
        default="amazon.titan-embed-image-v1",
    ),
    Parameter("dimension", "256, 384 or 1024.", one_of(256, 384, 1024), default=1024),
)
NOVA_PARAMETERS: Final = (
    Parameter(
        "model",
        "The model's id in Bedrock.",
        matching(_MODEL, "a model's id"),
        default="amazon.nova-2-multimodal-embeddings-v1:0",
    ),
    Parameter("dimension", "256, 384, 1024 or 3072.", one_of(256, 384, 1024, 3072), default=1024),
)
COHERE_PARAMETERS: Final = (
    Parameter(
        "model",
        "The model's id in Bedrock, or an inference profile's; Embed 3 or 4.",
        matching(_MODEL, "a model's id"),
        default="cohere.embed-v4:0",
    ),
    Parameter(
        "dimension",
        "256, 512, 1024 or 1536; 1024 for Embed 3, which has no other.",
        one_of(256, 512, 1024, 1536),
        default=1024,
    ),
)
SAGEMAKER_PARAMETERS: Final = (
    Parameter("endpoint", "The endpoint's name.", matching(_ENDPOINT, "an endpoint's name")),
    Parameter("dimension", "Numbers in the model's vector.", whole(1, 16_384)),
    _BATCH,
)
ONNX_PARAMETERS: Final = (
    Parameter("model", "The name that the service knows the file by.", matching(_MODEL, "a name")),
    Parameter("dimension", "Numbers in the model's vector.", whole(1, 16_384)),
    Parameter("input_size", "Width and height that pictures are brought to.", whole(16, 1024)),
    # ImageNet's, which most models were trained with.
    Parameter("mean", "Taken from each colour, 0-1.", _three_numbers, (0.485, 0.456, 0.406)),
    Parameter("std", "What each is divided by then.", _three_divisors, (0.229, 0.224, 0.225)),
)
# Also what a collection's references have that were loaded without it.
VERIFY: Final = "verify"
PDQ_PARAMETERS: Final = (
    Parameter(
        VERIFY,
        "Keep places of each picture too (OpenCV): what is too far away to be called near, up to "
        "90 bits, is then found where places agree. 1.9 KB a document.",
        one_of(True, False),
        default=False,
    ),
)
HTTPS_PARAMETERS: Final = (
    Parameter("url", "Where inputs are posted to.", _https_url),
    Parameter("dimension", "Numbers in the model's vector.", whole(1, 16_384)),
    Parameter("model", "Passed on as `model`.", matching(_MODEL, "a model's id"), optional=True),
    Parameter(
        "secret",
        "Where the key lies that is sent: env:NAME, or an ARN of Secrets Manager or SSM.",
        matching(_SECRET, _REFERENCE),
        optional=True,
    ),
    Parameter(
        "secret_header",
        "The header of the key; in Authorization it stands behind 'Bearer'.",
        matching(_HEADER, "the name of a header"),
        default="Authorization",
    ),
    _BATCH,
)

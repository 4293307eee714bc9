"""Which extractors this service offers, and what a collection that uses one must say.

Some send media elsewhere, at the operator's expense or with the operator's keys: those the operator
names, in the settings, and a collection can only choose among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from core.errors import InvalidRequestError, MissingExtraError, Problem
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import FACE_DLIB
from core.media.parameters import parameter_problems, with_defaults
from core.types import JsonObject

# Family -> the setting that names what may be used of it, and its name among a deployment's.
_NAMED: Final = {
    "bedrock": ("TRAWL_BEDROCK_MODELS", "bedrock_models"),
    "sagemaker": ("TRAWL_SAGEMAKER_ENDPOINTS", "sagemaker_endpoints"),
}
_ONNX_MODELS: Final = "TRAWL_ONNX_MODELS"
_FACES_REFUSED: Final = (
    "faces are biometric data, and this service does not allow reading them: its operator reads "
    "docs/faces.md, then sets TRAWL_FACES=allowed (deployed: with face in context media_extras)"
)


@dataclass(frozen=True, slots=True)
class ExtractorRules:
    """What the operator allows, and where media are decoded.

    `secrets` holds pairs of a host and a reference to the key that may be sent there, and only
    there: who may make collections could else have any secret of the service sent to any host.
    `onnx_models` are the names of model files: paths are the operator's to give.
    `faces` says that the operator allows reading faces, which are biometric data.
    `decodes_here` is false where another machine decodes, with libraries of its own: those of the
    extras in `deployed_extras`.
    """

    bedrock_models: tuple[str, ...] = ()
    sagemaker_endpoints: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    onnx_models: tuple[str, ...] = ()
    faces: bool = False
    decodes_here: bool = True
    deployed_extras: tuple[str, ...] = ()
    # Modules that count as not installed: for tests.
    absent: frozenset[str] = field(default=frozenset())

    def missing(self, info: ExtractorInfo) -> str | None:
        """Return what keeps an extractor from being used here, None if nothing does."""
        if info.family in _NAMED and not self._named(info):
            variable, context = _NAMED[info.family]
            return f"no {info.family} model is named: set {variable} (deployed: context {context})"
        if info.extra is None:
            return None
        if info is FACE_DLIB and not self.faces:
            return _FACES_REFUSED
        if not self._is_there(info):
            return self._absence(info)
        if info.name == "image.onnx" and not self.onnx_models:
            return (
                f"no model file is named: set {_ONNX_MODELS} (name=path; deployed: context "
                "onnx_models)"
            )
        return None

    def check(
        self, info: ExtractorInfo, parameters: Mapping[str, Any], path: str = "parameters"
    ) -> ExtractorInfo:
        """Return the extractor as these parameters make it.

        Raises `InvalidRequestError` with all that is wrong with them, and `MissingExtraError` if
        it cannot be used here.
        """
        problems = parameter_problems(info.parameters, parameters, path)
        if not problems:
            problems = self._refused(info, with_defaults(info.parameters, parameters), path)
        if problems:
            message = f"{info.name}: {problems[0].path}: {problems[0].message}"
            raise InvalidRequestError(message, problems)
        sized = info.sized(parameters)
        missing = self.missing(sized if sized.extra != info.extra else info)
        if missing is not None:
            raise MissingExtraError(f"{info.name} cannot be used: {missing}", extra=sized.extra)
        return sized

    def _is_there(self, info: ExtractorInfo) -> bool:
        """Say whether the libraries of an extractor are, where media are decoded."""
        if not self.decodes_here:
            return info.extra in self.deployed_extras
        return all(name not in self.absent and find_spec(name) for name in info.modules)

    def _absence(self, info: ExtractorInfo) -> str:
        if self.decodes_here:
            return f"not installed: install trawl-retriever[{info.extra}]"
        return (
            f"this deployment has no media function with trawl-retriever[{info.extra}]: "
            f"deploy with {info.extra} in context media_extras"
        )

    def _named(self, info: ExtractorInfo) -> tuple[str, ...]:
        return self.bedrock_models if info.family == "bedrock" else self.sagemaker_endpoints

    def _refused(self, info: ExtractorInfo, values: JsonObject, path: str) -> list[Problem]:
        """Return which of the values, each right by itself, are not to be used."""
        if info.family in _NAMED:
            name = "model" if info.family == "bedrock" else "endpoint"
            if self._named(info) and values[name] not in self._named(info):
                variable, _ = _NAMED[info.family]
                message = f"{values[name]!r} is not among the service's {variable}"
                return [Problem(f"{path}.{name}", message, "not_allowed")]
        named = info.name != "image.onnx" or values["model"] in self.onnx_models
        if not named and self.onnx_models:
            message = f"{values['model']!r} is not among the service's {_ONNX_MODELS}"
            return [Problem(f"{path}.model", message, "not_allowed")]
        older = info.name == "bedrock.cohere" and "embed-v4" not in values["model"]
        if older and values["dimension"] != 1024:
            message = f"{values['model']} makes vectors of 1024 numbers alone"
            return [Problem(f"{path}.dimension", message)]
        if info.family == "https" and values["secret"] is not None:
            pair = (urlsplit(values["url"]).hostname or "", values["secret"])
            if pair not in self.secrets:
                message = (
                    f"{pair[1]} may not be sent to {pair[0]}: the service's "
                    "TRAWL_EMBEDDER_SECRETS must say so (host=reference)"
                )
                return [Problem(f"{path}.secret", message, "not_allowed")]
        return []

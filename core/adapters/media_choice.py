"""All extractors of a process as one: who decodes, and who is made only when first asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn

from core.adapters.fetch_rules import FetchRules
from core.adapters.media_routing import RoutedMediaExtractor
from core.errors import MissingExtraError
from core.media.extractors import FACE_DLIB
from core.media.rules import ExtractorRules
from core.ports.media import MediaExtractor


def choose_extractors(
    rules: ExtractorRules,
    fetch: FetchRules,
    onnx_models: Mapping[str, str] | None = None,
    *,
    decoding: MediaExtractor | None = None,
    deployed: Mapping[str, Callable[[], MediaExtractor]] | None = None,
) -> MediaExtractor:
    """Return an extractor for everything; `decoding` is who decodes, else children of this process.

    Heavy libraries have children of their own, or functions of their own: `deployed` makes those,
    by the extra that they bring. `onnx_models` holds paths by name, for children alone.
    """
    makers: dict[str, Callable[[], MediaExtractor]] = {"remote": partial(_remote, rules, fetch)}
    if decoding is not None:
        makers |= deployed or {}
        return RoutedMediaExtractor(decoding, makers | _refused(rules))
    from core.adapters.media_process import ProcessMediaExtractor

    makers["logo"] = partial(ProcessMediaExtractor, libraries="logo")
    makers["onnx"] = partial(_onnx, onnx_models or {})
    makers["face"] = partial(ProcessMediaExtractor, workers=1, libraries="face")
    return RoutedMediaExtractor(ProcessMediaExtractor(), makers | _refused(rules))


def _refused(rules: ExtractorRules) -> dict[str, Callable[[], MediaExtractor]]:
    """Return who stands for an extractor that is not allowed: collections of it may be there from
    when it was."""
    return {} if rules.faces else {"face": partial(_refuse_faces, rules)}


def _refuse_faces(rules: ExtractorRules) -> NoReturn:
    missing = rules.missing(FACE_DLIB)
    raise MissingExtraError(f"{FACE_DLIB.name} cannot be used: {missing}", extra=FACE_DLIB.extra)


def _onnx(models: Mapping[str, str]) -> MediaExtractor:
    from core.adapters.media_onnx import OnnxMediaExtractor

    return OnnxMediaExtractor(models)


def _remote(rules: ExtractorRules, fetch: FetchRules) -> MediaExtractor:
    from core.adapters.embed_transports import AwsTransports, HttpsTransport, Transport
    from core.adapters.media_remote import RemoteMediaExtractor
    from core.adapters.secret_references import Secrets

    aws = AwsTransports()
    transports: dict[str, Transport] = {
        "bedrock": aws.bedrock,
        "sagemaker": aws.sagemaker,
        "https": HttpsTransport(fetch, Secrets()),
    }
    return RemoteMediaExtractor(rules, transports)

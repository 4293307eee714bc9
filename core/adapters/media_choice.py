"""All extractors of a process as one: who decodes, and who is made only when first asked for."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NoReturn

from core.adapters.fetch_rules import FetchRules
from core.adapters.media_routing import RoutedMediaExtractor
from core.errors import MissingExtraError
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import EXTRACTORS, FACE_DLIB
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
        return RoutedMediaExtractor(decoding, makers | _refused(rules, EXTRACTORS))
    from core.adapters.media_process import ProcessMediaExtractor

    makers["logo"] = partial(ProcessMediaExtractor, libraries="logo")
    makers["onnx"] = partial(_onnx, onnx_models or {})
    makers["face"] = partial(ProcessMediaExtractor, workers=1, libraries="face")
    return RoutedMediaExtractor(ProcessMediaExtractor(), makers | _refused(rules, [FACE_DLIB]))


def _refused(
    rules: ExtractorRules, extractors: Iterable[ExtractorInfo]
) -> dict[str, Callable[[], MediaExtractor]]:
    """Return who stands for extractors that are not allowed or not deployed: collections of them
    may be there from when they were."""
    missing = {info: rules.missing(info) for info in extractors if info.extra is not None}
    return {
        info.extra: partial(_refuse, info, why)
        for info, why in missing.items()
        if info.extra is not None and why is not None
    }


def _refuse(info: ExtractorInfo, why: str) -> NoReturn:
    raise MissingExtraError(f"{info.name} cannot be used: {why}", extra=info.extra)


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

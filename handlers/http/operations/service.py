"""What the service says of itself: health, its OpenAPI document, the stages there are."""

from handlers.http.call import Call
from handlers.http.messages import ApiResponse


async def get_health(_call: Call) -> dict[str, str]:
    """Say that the process answers. It touches no store and takes no thread: a probe must stay
    cheap."""
    return {"status": "ok"}


def get_openapi(_call: Call) -> dict[str, object]:
    """Return the OpenAPI document."""
    from handlers.http.openapi import build_document

    return build_document()


def get_docs(_call: Call) -> ApiResponse:
    """Return the page to read and try the API with."""
    from handlers.http.docs_page import DOCS_HEADERS, build_page
    from handlers.http.openapi import build_document

    return ApiResponse(200, build_page(build_document()).encode(), dict(DOCS_HEADERS))


def list_stages(call: Call) -> list[dict[str, object]]:
    """Return the catalogue of stages."""
    from core.catalog.stage_catalogue import describe_stages

    return describe_stages(call.query.get("category"))


def discover_stages(call: Call) -> list[dict[str, object]]:
    """Return the same catalogue with more words."""
    return list_stages(call)


def list_extractors(call: Call) -> list[dict[str, object]]:
    """Return the extractors that turn media into vectors."""
    from core.media.extractors import EXTRACTORS

    rules = call.app.collections.rules
    return [
        {
            "feature_extractor_name": info.name,
            "version": info.version,
            "description": info.description,
            "feature_uri": info.feature_uri,
            "vector_name": info.index_name,
            "modalities": list(info.modalities),
            "metric": info.metric,
            "dimension": info.dimension,
            "thresholds": info.known_thresholds(),
            "parameters": [each.to_json() for each in info.parameters],
            "available": rules.missing(info) is None,
            "missing": rules.missing(info),
        }
        for info in EXTRACTORS
    ]

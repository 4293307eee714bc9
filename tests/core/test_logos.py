"""Logos through a whole service: found on a card and in a photograph, and where."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from core.app import App
from core.deadline import NEVER
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace
from core.models.scans import ScanRequest
from core.types import JsonObject
from tests.core.media.logos import card, logo, photograph
from tests.core.media.pictures import encode, landscape
from tests.core.service import make_namespace, make_retriever, run_batch, running_app, stage

pytest.importorskip("cv2", reason="the extra [logo] is not installed")

URI = "mixpeek://logo.sift@v1/keypoints"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, Namespace]]:
    """Yield an app with six logos and a retriever over them."""
    with running_app(tmp_path_factory.mktemp("logos")) as app:
        namespace = make_namespace(app)
        extractor = {"feature_extractor_name": "logo.sift"}
        body = {"collection_name": "logos", "feature_extractor": extractor}
        made = app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
        documents = [{"document_id": f"logo-{n}", "content": uri(logo(n))} for n in range(6)]
        upserted = {"collection_id": made.collection_id, "documents": documents}
        app.documents.upsert(namespace, parse_model(UpsertRequest, upserted), deadline=NEVER)
        query = {"input_mode": "content", "value": "{{INPUT.q}}"}
        search = {"feature_uri": URI, "query": query}
        make_retriever(
            app,
            namespace,
            [stage("feature_search", searches=[search])],
            collection_identifiers=[made.collection_id],
        )
        yield app, namespace


def uri(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode(image, 'PNG')).decode()}"


def look(filled: tuple[App, Namespace], *images: Image.Image) -> list[JsonObject]:
    app, namespace = filled
    queries = [{"inputs": {"q": uri(image)}} for image in images]
    results: list[JsonObject] = run_batch(app, namespace, "nearest", queries)["results"]
    return results


def test_a_logo_is_found_and_where_it_is(filled: tuple[App, Namespace]) -> None:
    images = [card(2, 200, 30, (300, 150)), photograph(4, 220, (80, 250))]
    places = [(300, 150, 580, 430), (80, 250, 300, 470)]
    for name, place, result in zip(
        ("logo-2", "logo-4"), places, look(filled, *images), strict=True
    ):
        assert result["status"] == "completed", result
        (best, *_) = result["documents"]
        assert best["document_id"].partition("#")[0] == name
        assert best["inliers"] >= 8 and best["score"] >= 0.5
        assert best["chunks_matched"] <= best["chunks_searched"]
        left, top, right, bottom = best["query_box"]
        assert place[0] - 30 <= left < right <= place[2] + 30
        assert place[1] - 30 <= top < bottom <= place[3] + 30
        assert right - left > 80 and bottom - top > 80


def scan(filled: tuple[App, Namespace], name: str, **rule: Any) -> JsonObject:
    """Return the scan of a card with a logo, and of a picture without one, by a new retriever."""
    app, namespace = filled
    collection = app.collections.find(namespace.namespace_id, "logos")
    search = {"feature_uri": URI, "query": {"input_mode": "content", "value": "{{INPUT.q}}"}}
    make_retriever(
        app,
        namespace,
        [stage("feature_search", searches=[search])],
        name=name,
        collection_identifiers=[collection.collection_id],
        input_schema={"q": {"type": "image", "required": True}},
        **rule,
    )
    files = [uri(card(2, 200, 30, (300, 150))), uri(landscape(50, 800, 600))]
    request = parse_model(ScanRequest, {"files": files, "retrievers": [name]})
    return asyncio.run(app.scans.run(namespace, request, deadline=NEVER))


def test_a_verdict_rests_on_the_places_that_agree(filled: tuple[App, Namespace]) -> None:
    # Higher than any picture of these can reach: a single place's likeness is 0.99.
    answer = scan(filled, "strict", verdict={"block_at": 0.97, "review_at": 0.5})
    assert [file["verdict"] for file in answer["files"]] == ["review", "clear"]


def test_a_retriever_without_a_rule_has_the_extractors(filled: tuple[App, Namespace]) -> None:
    answer = scan(filled, "bare")
    assert answer["retrievers"][0]["thresholds"] == {URI: {"block_at": 0.5, "review_at": 0.42}}
    assert [file["verdict"] for file in answer["files"]] == ["block", "clear"]


def test_nothing_is_found_where_no_logo_is(filled: tuple[App, Namespace]) -> None:
    strange = card(77, 250, 0, (200, 200))
    for result in look(filled, landscape(50, 800, 600), strange):
        assert [d["inliers"] for d in result["documents"] if d["inliers"] >= 8] == []


def test_a_picture_without_detail_is_incomplete(filled: tuple[App, Namespace]) -> None:
    (result,) = look(filled, Image.new("RGB", (400, 400), "white"))
    assert result["complete"] is False and result["documents"] == []

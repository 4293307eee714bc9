"""image.pdq with `verify` in a whole app: copies too far away by hash, found by their places."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from core.app import App, build_app
from core.deadline import NEVER
from core.media.extractors import IMAGE_PDQ
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.scan.thresholds import own_measures, thresholds_of
from core.scan.verdicts import judge
from core.settings import Settings
from core.types import JsonObject
from tests.core.media.pictures import landscape
from tests.core.test_image_versions import by_file, in_line

pytest.importorskip("cv2")

URI = IMAGE_PDQ.feature_uri
COUNT = 6


def town(seed: int) -> Image.Image:
    """Return a picture with corners, which a landscape has not."""
    rng = random.Random(seed)  # noqa: S311 - a test picture
    picture = landscape(seed, 400, 300)
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        left, top = rng.randrange(400), rng.randrange(300)
        right, bottom = left + rng.randrange(6, 40), top + rng.randrange(6, 40)
        colour = rng.randrange(256), rng.randrange(256), rng.randrange(256)
        draw.rectangle((left, top, right, bottom), fill=colour)
    return picture


PHOTO = town(2)
# A strip of a tenth is missing at two edges: more than in the crops that are stored.
STRIPPED = PHOTO.crop((0, 0, round(0.9 * PHOTO.width), round(0.9 * PHOTO.height)))
MIRRORED = STRIPPED.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app whose collections `verified` and `plain` hold the same pictures."""
    folder: Path = tmp_path_factory.mktemp("data")
    built = build_app(Settings.local(folder, {}))
    namespace = built.namespaces.create(
        parse_model(StandaloneNamespaceCreate, {"namespace_id": "space"})
    )
    for name, parameters in (("verified", {"verify": True}), ("plain", {})):
        extractor = {"feature_extractor_name": "image.pdq", "parameters": parameters}
        body = {"collection_name": name, "feature_extractor": extractor}
        built.collections.create("space", parse_model(CollectionCreate, body))
        documents = [
            {"document_id": f"{name[0]}{n}", "content": in_line(town(n))}
            for n in range(1, COUNT + 1)
        ]
        request = parse_model(UpsertRequest, {"collection_id": name, "documents": documents})
        assert not built.documents.upsert(namespace, request, deadline=NEVER)["failed"]
    yield built
    built.close()


@pytest.fixture(scope="module")
def namespace(app: App) -> Namespace:
    """The namespace of both."""
    return app.namespaces.find("space")


def search(
    app: App,
    namespace: Namespace,
    over: list[str],
    *queries: JsonObject,
    stages: tuple[JsonObject, ...] = (),
    **parameters: Any,
) -> list[JsonObject]:
    """Return the answers to searches of files, each judged: `verdict` is what a scan would say."""
    search = {"feature_uri": URI, "query": "{{INPUT.query}}", "top_k": 5}
    search |= {name: parameters.pop(name) for name in ("min_score", "top_k") if name in parameters}
    name = f"r{len(app.retrievers.all(namespace.namespace_id))}"
    config = {"stage_id": "feature_search", "parameters": {"searches": [search], **parameters}}
    body: dict[str, Any] = {
        "retriever_name": name,
        "collection_identifiers": over,
        "input_schema": {"query": {"type": "object", "required": True}},
        "stages": [{"stage_name": "near", "config": config}, *stages],
    }
    retriever = parse_model(RetrieverCreate, body)
    app.retrievers.create(namespace, retriever, check=app.engine.check)
    inputs = [{"inputs": {"query": query}} for query in queries]
    request = parse_model(BatchRequest, {"queries": inputs})
    work = app.engine.execute_batch(namespace, name, request, deadline=NEVER)
    thresholds = thresholds_of(body, own_measures())
    results = asyncio.run(work)["results"]
    return [{**result, "verdict": judge(result, thresholds)} for result in results]


def verification(result: JsonObject) -> Any:
    """Return what the answer says of places that were compared."""
    return result["evidence"]["features"][URI].get("verification")


def test_a_copy_too_far_away_is_found_by_its_places(app: App, namespace: Namespace) -> None:
    (plain,) = search(app, namespace, ["plain"], by_file(STRIPPED))
    assert plain["verdict"].word == "clear"
    assert verification(plain) is None
    (result,) = search(app, namespace, ["verified"], by_file(STRIPPED))
    best = result["documents"][0]
    assert best["document_id"] == "v2"
    assert best["inliers"] >= 8
    assert best["hash_score"] == max(one["score"] for one in plain["documents"])
    assert 1 - 90 / 256 <= best["hash_score"] < 1 - 60 / 256 <= best["score"] < 1 - 31 / 256
    assert best["features"][URI]["inliers"] == best["inliers"]
    assert result["verdict"].word == "review"
    assert result["verdict"].nearest.distance == round(256 * (1 - best["hash_score"]))
    assert result["evidence"]["best_score"] == best["score"]
    assert result["incomplete"] == []
    found = verification(result)
    assert (found["verified"], found["without_places"], found["unchecked"]) == (1, 0, 0)


def test_boxes_are_in_pixels_of_both_pictures(app: App, namespace: Namespace) -> None:
    for copy in (STRIPPED, MIRRORED):
        (result,) = search(app, namespace, ["verified"], by_file(copy))
        left, top, right, bottom = result["documents"][0]["query_box"]
        assert -20 <= left < right <= copy.width + 20
        assert -20 <= top < bottom <= copy.height + 20
        reference = result["documents"][0]["reference_box"]
        # Nothing of what was cut off is found, but for the squares that places have around them.
        assert reference[2] <= STRIPPED.width + 60
    mirrored, upright = (
        result["documents"][0]["query_box"]
        for result in (
            *search(app, namespace, ["verified"], by_file(MIRRORED)),
            *search(app, namespace, ["verified"], by_file(STRIPPED)),
        )
    )
    # The same part of the picture, seen from the other side.
    assert abs(mirrored[0] - (STRIPPED.width - upright[2])) <= 30


def test_strangers_have_no_places_in_common(app: App, namespace: Namespace) -> None:
    strangers = [by_file(town(n)) for n in range(20, 28)]
    for result in search(app, namespace, ["verified"], *strangers):
        assert result["verdict"].word == "clear"
        assert verification(result)["verified"] == 0
        assert verification(result)["places"] > 0
        assert "inliers" not in result["documents"][0]


def test_what_is_near_by_hash_is_answered_as_without(app: App, namespace: Namespace) -> None:
    (result,) = search(app, namespace, ["verified"], by_file(PHOTO))
    (plain,) = search(app, namespace, ["plain"], by_file(PHOTO))
    assert result["documents"][0]["score"] == plain["documents"][0]["score"] == 1.0
    assert "inliers" not in result["documents"][0]
    assert result["verdict"].word == "block"


def test_what_was_loaded_without_places_is_searched_too_and_counted(
    app: App, namespace: Namespace
) -> None:
    (result,) = search(app, namespace, ["plain", "verified"], by_file(STRIPPED))
    assert result["documents"][0]["document_id"] == "v2"
    found = verification(result)
    assert found["verified"] == 1
    assert found["without_places"] >= 1
    assert [one["document_id"] for one in result["documents"][1:]].count("p2") == 1


def test_a_stored_document_is_compared_by_its_hashes_alone(app: App, namespace: Namespace) -> None:
    ref = {"collection_id": "verified", "document_id": "v2"}
    (result,) = search(
        app, namespace, ["verified"], {"input_mode": "document", "document_ref": ref}
    )
    assert result["documents"][0]["document_id"] == "v2"
    assert verification(result) is None


@pytest.mark.parametrize("top_k", [1, 2, 100])
def test_limits_cut_the_list_and_nothing_else(app: App, namespace: Namespace, top_k: int) -> None:
    (whole,) = search(app, namespace, ["plain", "verified"], by_file(STRIPPED), top_k=top_k)
    limit = {
        "stage_name": "first",
        "config": {"stage_id": "limit", "parameters": {"limit": 2}},
    }
    (cut,) = search(
        app, namespace, ["plain", "verified"], by_file(STRIPPED), top_k=top_k, stages=(limit,)
    )
    assert cut["documents"] == whole["documents"][:2]
    assert cut["evidence"]["features"] == whole["evidence"]["features"]
    (one,) = search(
        app, namespace, ["plain", "verified"], by_file(STRIPPED), top_k=top_k, final_top_k=1
    )
    assert one["documents"] == whole["documents"][:1]


def test_min_score_is_of_what_places_prove(app: App, namespace: Namespace) -> None:
    (result,) = search(app, namespace, ["verified"], by_file(STRIPPED), min_score=0.75)
    assert [one["document_id"] for one in result["documents"]] == ["v2"]
    (none,) = search(app, namespace, ["verified"], by_file(STRIPPED), min_score=0.9)
    assert none["documents"] == []
    # Something was found, and left out: that is not clear.
    assert none["verdict"].word == "unknown"


def test_a_batch_answers_as_its_queries_alone(app: App, namespace: Namespace) -> None:
    files = [by_file(one) for one in (STRIPPED, MIRRORED, PHOTO, town(9), STRIPPED)]
    together = search(app, namespace, ["verified", "plain"], *files)
    alone = [search(app, namespace, ["verified", "plain"], one)[0] for one in files]
    for one, other in zip(together, alone, strict=True):
        assert one["documents"] == other["documents"]
        assert one["evidence"] == other["evidence"]

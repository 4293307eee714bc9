"""Faces through a whole service: who is found, where in both pictures, and what a verdict says."""

import asyncio
import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from core.app import App
from core.deadline import NEVER
from core.errors import MissingExtraError
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace
from core.models.scans import ScanRequest
from core.scan.thresholds import own_measures, thresholds_of
from core.types import JsonObject
from handlers.verdicts import judge_result
from tests.core.media.faces import face, group
from tests.core.media.pictures import encode, landscape
from tests.core.service import make_namespace, make_retriever, run_batch, running_app, stage

pytest.importorskip("dlib", reason="the extra [face] is not installed")

URI = "mixpeek://face.dlib@v1/descriptor"
# Drawn so that each is a stranger to the others; 1 is between match and stranger to 3 alone.
ANNE, BERT, CAROL, LIKE_BERT = 29, 3, 18, 1
STAGE = stage(
    "feature_search",
    searches=[{"feature_uri": URI, "query": {"input_mode": "content", "value": "{{INPUT.q}}"}}],
)
Filled = tuple[App, Namespace, Path]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Yield an app that knows Anne, and Bert and Carol from one picture."""
    folder = tmp_path_factory.mktemp("faces")
    with running_app(folder, faces=True) as app:
        namespace = make_namespace(app)
        store(app, namespace, "people", {"anne": face(ANNE), "couple": group([BERT, CAROL])})
        yield app, namespace, folder


def uri(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode(image, 'PNG')).decode()}"


def store(app: App, namespace: Namespace, name: str, files: dict[str, Image.Image]) -> JsonObject:
    """Make a collection of faces, and a retriever of the same name over it."""
    extractor = {"feature_extractor_name": "face.dlib"}
    body = {"collection_name": name, "feature_extractor": extractor}
    made = app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
    documents = [{"document_id": key, "content": uri(image)} for key, image in files.items()]
    upserted = {"collection_id": made.collection_id, "documents": documents}
    written = app.documents.upsert(namespace, parse_model(UpsertRequest, upserted), deadline=NEVER)
    schema = {"q": {"type": "image", "required": True}}
    make_retriever(
        app, namespace, [STAGE], name, collection_identifiers=[name], input_schema=schema
    )
    return written


def scan(filled: Filled, *images: Image.Image, retriever: str = "people") -> list[JsonObject]:
    app, namespace, _ = filled
    files = [uri(image) for image in images]
    request = parse_model(ScanRequest, {"files": files, "retrievers": [retriever]})
    answer = asyncio.run(app.scans.run(namespace, request, deadline=NEVER))
    return [file["retrievers"][retriever] for file in answer["files"]]


def lies_in(box: Sequence[float], square: int) -> bool:
    return 300 * square <= box[0] < box[2] <= 300 * (square + 1)


def test_a_known_face_matches_and_a_like_one_is_to_be_looked_at(filled: Filled) -> None:
    known, alike = scan(filled, face(ANNE, 500), face(LIKE_BERT))
    assert known["verdict"] == "block"
    assert known["best_match"]["document_id"] == "anne"
    assert known["best_match"]["distance"] <= 0.45 and known["best_match"]["unit"] == "units"
    assert alike["verdict"] == "review"
    assert 0.45 < alike["best_match"]["distance"] <= 0.55


def test_of_several_faces_each_is_looked_for_and_its_own_place_is_told(filled: Filled) -> None:
    (cell,) = scan(filled, group([CAROL, ANNE]))
    found = {document["document_id"]: document for document in cell["documents"]}
    anne = found.pop("anne")
    carol = max(found.values(), key=lambda document: float(document["score"]))
    assert cell["verdict"] == "block"
    assert anne["score"] > 0.68 and carol["score"] > 0.68
    assert carol["document_id"].startswith("couple#")
    assert lies_in(anne["query_box"], 1) and lies_in(anne["reference_box"], 0)
    assert lies_in(carol["query_box"], 0) and lies_in(carol["reference_box"], 1)
    bert = min(found.values(), key=lambda document: float(document["score"]))
    assert bert["score"] < 1 / 1.55 and lies_in(bert["reference_box"], 0)


def test_a_stranger_is_clear_of_those_who_were_compared(filled: Filled) -> None:
    app, namespace, _ = filled
    store(app, namespace, "anne-alone", {"anne": face(ANNE)})
    (cell,) = scan(filled, face(BERT), retriever="anne-alone")
    assert cell["verdict"] == "clear", cell["reasons"]
    assert cell["best_match"]["distance"] > 0.55


def test_a_picture_without_a_face_is_never_clear(filled: Filled) -> None:
    (cell,) = scan(filled, landscape(4, 640, 480))
    assert cell["verdict"] == "unknown" and cell["complete"] is False
    assert "no_face" in [reason["code"] for reason in cell["reasons"]]
    assert "no face was found" in " ".join(reason["message"] for reason in cell["reasons"])


def test_a_reference_without_a_face_keeps_others_from_being_clear(filled: Filled) -> None:
    app, namespace, _ = filled
    pictures = {"anne": face(ANNE), "view": landscape(4, 640, 480)}
    written = store(app, namespace, "blind", pictures)
    assert written["unsearchable_document_ids"] == ["view"]
    (cell,) = scan(filled, face(BERT), retriever="blind")
    assert cell["verdict"] == "unknown"
    assert [reason["code"] for reason in cell["reasons"]] == ["unsearchable_documents"]


def test_a_batch_is_judged_by_the_same_distances(filled: Filled) -> None:
    app, namespace, _ = filled
    images = [face(ANNE, 500), face(LIKE_BERT), landscape(4, 640, 480)]
    queries = [{"inputs": {"q": uri(image)}} for image in images]
    results = run_batch(app, namespace, "people", queries)["results"]
    stored = app.retrievers.find(namespace.namespace_id, "people").model_dump(mode="json")
    thresholds = thresholds_of(stored, own_measures())
    verdicts = [judge_result(result, thresholds) for result in results]
    assert [verdict.word for verdict in verdicts] == ["match", "review", "unknown"]
    assert verdicts[0].distance is not None and verdicts[0].distance <= 0.45


def test_once_it_is_no_longer_allowed_nothing_is_read(filled: Filled) -> None:
    _, namespace, folder = filled
    with running_app(folder) as app:
        with pytest.raises(MissingExtraError, match=r"docs/faces\.md"):
            store(app, namespace, "more", {})
        (cell,) = scan((app, namespace, folder), face(ANNE))
        assert cell["verdict"] == "unknown"
        assert "docs/faces.md" in cell["reasons"][0]["message"]
        document = {"document_id": "bert", "content": uri(face(BERT))}
        body = {"collection_id": "people", "documents": [document]}
        written = app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)
        assert [failed["document_id"] for failed in written["failed"]] == ["bert"]

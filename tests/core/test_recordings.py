"""Recordings in one call and one by one, and with strangers beside them: the same answers."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from core.app import App
from core.deadline import NEVER
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace
from tests.core.media.recordings import FPS, cut, encode_film, encode_sound, film, tune, with_noise
from tests.core.service import (
    answer_of,
    make_namespace,
    make_retriever,
    run_batch,
    run_single,
    running_app,
    stage,
)

TUNES = [tune(n + 1, 30) for n in range(3)]
FILMS = [film(n + 1, 12) for n in range(2)]
URIS = {
    "tracks": "mixpeek://audio.chromaprint@v1/fingerprint",
    "films": "mixpeek://video.vpdq@v1/hash",
}
SOUNDS = [
    encode_sound(cut(TUNES[0], 7, 17)),
    encode_sound(with_noise(cut(TUNES[1], 12, 22), 3, share=1.0)),
    encode_sound(cut(TUNES[2], 3, 8)),
    encode_sound(tune(9, 10)),
]
CLIPS = [
    encode_film(FILMS[0][3 * FPS : 9 * FPS], "mp4", "mpeg4"),
    encode_film(FILMS[1][2 * FPS :], "mp4", "mpeg4"),
]


def fill(app: App, namespace: Namespace, name: str, extractor: str, files: Sequence[bytes]) -> None:
    made = {"collection_name": name, "feature_extractor": {"feature_extractor_name": extractor}}
    app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, made))
    documents = [
        {"document_id": f"{n}", "content": base64.b64encode(data).decode()}
        for n, data in enumerate(files)
    ]
    body = {"collection_id": name, "documents": documents}
    written = app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)
    assert not written["failed"]
    kind = "audio" if extractor.startswith("audio") else "video"
    uri = next(uri for uri in URIS.values() if extractor in uri)
    query = {"input_mode": "content", "value": "{{INPUT.file}}"}
    make_retriever(
        app,
        namespace,
        [stage("feature_search", searches=[{"feature_uri": uri, "query": query}])],
        name,
        collection_identifiers=[name],
        input_schema={"file": {"type": kind, "required": True}},
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        namespace = make_namespace(app)
        tracks = [encode_sound(each) for each in TUNES]
        fill(app, namespace, "tracks", "audio.chromaprint", tracks)
        strangers = [encode_sound(tune(n, 30)) for n in (11, 12)]
        fill(app, namespace, "more", "audio.chromaprint", [*tracks, *strangers])
        fill(app, namespace, "films", "video.vpdq", [encode_film(f, "mp4", "mpeg4") for f in FILMS])
        yield app


def query(data: bytes) -> dict[str, Any]:
    return {"inputs": {"file": "data:;base64," + base64.b64encode(data).decode()}}


def moments(documents: Sequence[dict[str, Any]]) -> list[tuple[str, int, float]]:
    """Return what was proven: the file, the offset in ms, and how alike it is."""
    return [
        (
            one["document_id"].partition("#")[0],
            one["reference_start_ms"] - one["query_start_ms"],
            hit["similarity"],
        )
        for one in documents
        for hit in one["features"].values()
        if hit["aligned"]
    ]


def test_one_call_answers_as_many_calls_do(app: App) -> None:
    namespace = app.namespaces.find("shop")
    for retriever, files in (("tracks", SOUNDS), ("films", CLIPS)):
        queries = [query(data) for data in files]
        answer = run_batch(app, namespace, retriever, queries)
        singles = [run_single(app, namespace, retriever, one) for one in queries]
        assert [one["documents"] for one in answer["results"]] == [
            one["documents"] for one in singles
        ]
        evidence = [answer_of(one)["evidence"] for one in answer["results"]]
        assert evidence == [one["evidence"] for one in singles]


def test_each_is_found_at_its_second_with_strangers_or_without(app: App) -> None:
    namespace = app.namespaces.find("shop")
    alone, among = (
        [
            moments(one["documents"])
            for one in run_batch(app, namespace, name, list(map(query, SOUNDS)))["results"]
        ]
        for name in ("tracks", "more")
    )
    found = [each[0] for each in alone[:3]]
    assert [root for root, _, _ in found] == ["0", "1", "2"]
    assert [offset for _, offset, _ in found] == pytest.approx([7000, 12_000, 3000], abs=130)
    assert alone[3] == []
    assert [each[:1] for each in among] == [each[:1] for each in alone]


def test_clips_are_found_at_their_seconds(app: App) -> None:
    namespace = app.namespaces.find("shop")
    answer = run_batch(app, namespace, "films", list(map(query, CLIPS)))
    found = [moments(one["documents"])[0] for one in answer["results"]]
    assert [root for root, _, _ in found] == ["0", "1"]
    assert [offset for _, offset, _ in found] == pytest.approx([3000, 2000], abs=500)

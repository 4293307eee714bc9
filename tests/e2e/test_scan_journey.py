"""Pictures, sound and film against three retrievers, in one call, as a user sends them."""

import base64
from typing import Any

import pytest

from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import cut, encode_film, encode_sound, film, tune
from tests.servers import Client, Server

KINDS = {"image": "image.pdq", "audio": "audio.chromaprint", "video": "video.vpdq"}


def text(data: bytes) -> str:
    """Return a file as a request carries it."""
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def studio(server: Server) -> Client:
    """References of each kind, and a retriever of each with a canary."""
    client = server.new_namespace()
    references = {
        "image": encode(landscape(1), "PNG"),
        "audio": encode_sound(tune(1, 20), "wav"),
        "video": encode_film(film(1, 12), "mp4"),
    }
    for kind, extractor in KINDS.items():
        feature = {"feature_extractor_name": extractor}
        body = {"collection_name": kind, "feature_extractor": feature}
        made = client.ok("POST", "/v1/collections", body)
        document = {"document_id": f"{kind}-1", "content": text(references[kind])}
        path = f"/v1/namespaces/{client.namespace}/documents/upsert"
        stored = client.ok("POST", path, {"documents": [document], "collection_id": kind})
        assert not stored["failed"]
        uri = made["vector_indexes"][0]["feature_uri"]
        query = {"input_mode": "content", "value": "{{INPUT.file}}"}
        parameters = {"searches": [{"feature_uri": uri, "query": query}]}
        config = {"stage_id": "feature_search", "parameters": parameters}
        retriever = {
            "retriever_name": kind,
            "collection_identifiers": [kind],
            "stages": [{"stage_name": "near", "config": config}],
            "input_schema": {"file": {"type": kind, "required": True}},
            "verdict": {"canary": f"{kind}-1"},
        }
        client.ok("POST", "/v1/retrievers", retriever)
    return client


def words(file: Any) -> dict[str, str]:
    """Return what each retriever says of a file."""
    return {name: cell["verdict"] for name, cell in file["retrievers"].items()}


def test_each_file_meets_the_retrievers_that_can_use_it(studio: Client) -> None:
    files = [
        encode(landscape(1).resize((160, 120)), "JPEG", quality=50),
        encode_sound(cut(tune(1, 20), 6, 16), "mp3", "libmp3lame"),
        encode_film(film(1, 12), "mp4"),
        encode(landscape(9), "PNG"),
        encode_sound(tune(5, 12), "wav"),
    ]
    body = {"files": [text(data) for data in files], "retrievers": list(KINDS)}
    answer = studio.ok("POST", "/v1/scans", body)
    assert all(retriever["canary"]["found"] for retriever in answer["retrievers"]), answer
    na = "not_applicable"
    seen = [words(file) for file in answer["files"]]
    assert seen[0] == {"image": "block", "audio": na, "video": na}
    assert seen[1] == {"image": na, "audio": "block", "video": na}
    assert (seen[2]["image"], seen[2]["video"]) == (na, "block")
    assert seen[3] == {"image": "clear", "audio": na, "video": na}
    assert seen[4] == {"image": na, "audio": "clear", "video": na}
    sound = answer["files"][1]
    assert sound["duration_ms"] == pytest.approx(10_000, abs=500)
    (document,) = sound["retrievers"]["audio"]["documents"][:1]
    assert document["reference_start_ms"] == pytest.approx(6000, abs=500)

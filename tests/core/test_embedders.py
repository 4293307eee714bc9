"""Embedding models through a whole service: made, filled, searched by file and by text."""

import base64
import io
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.app import App
from core.deadline import NEVER
from core.errors import InvalidRequestError, MissingExtraError
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.namespaces import Namespace
from core.types import JsonObject
from tests.core.media.pictures import encode, landscape
from tests.core.service import make_namespace, make_retriever, run_batch, running_app, stage

MODEL = "cohere.embed-v4:0"
WORDS = ("red", "green", "blue")
PICTURES = {word: encode(landscape(n, 24, 24), "PNG") for n, word in enumerate(WORDS)}
URI = "mixpeek://bedrock.cohere@v1/embedding"


class Bedrock:
    """Embeds texts by the colours they name; of pictures it knows three."""

    def __init__(self) -> None:
        self.requests: list[JsonObject] = []
        self.lock = threading.Lock()

    def invoke_model(self, *, modelId: str, body: bytes, **_: Any) -> JsonObject:
        asked = json.loads(body)
        with self.lock:
            self.requests.append({"model": modelId, **asked})
        texts = asked.get("texts") or [_word_of(uri) for uri in asked["images"]]
        vectors = [_vector(text, asked["output_dimension"]) for text in texts]
        return {"body": io.BytesIO(json.dumps({"embeddings": {"float": vectors}}).encode())}


def _word_of(data_uri: str) -> str:
    data = base64.b64decode(data_uri.partition(",")[2])
    return next(word for word, picture in PICTURES.items() if picture == data)


def _vector(text: str, dimension: int) -> list[float]:
    vector = np.full(dimension, 0.01)
    for n, word in enumerate(WORDS):
        vector[n] += text.count(word)
    return [float(number) for number in vector]


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    model = Bedrock()
    monkeypatch.setattr("core.adapters.embed_transports.make_client", lambda *_, **__: model)
    return model


@pytest.fixture
def app(tmp_path: Path, bedrock: Bedrock) -> Iterator[App]:
    with running_app(tmp_path, bedrock_models=(MODEL,)) as app:
        yield app


def make_collection(app: App, namespace: Namespace, name: str = "photos", **parameters: Any) -> str:
    extractor = {"feature_extractor_name": "bedrock.cohere", "parameters": parameters}
    body = {"collection_name": name, "feature_extractor": extractor}
    request = parse_model(CollectionCreate, body)
    return app.collections.create(namespace.namespace_id, request).collection_id


def data_uri(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def fill(app: App, namespace: Namespace, collection: str) -> None:
    documents: list[JsonObject] = [
        {"document_id": word, "content": data_uri(picture)} for word, picture in PICTURES.items()
    ]
    documents.append({"document_id": "note", "content": "data:text/plain,green and blue"})
    body = {"collection_id": collection, "documents": documents}
    answer = app.documents.upsert(namespace, parse_model(UpsertRequest, body), deadline=NEVER)
    assert not answer.get("failed"), answer


def make_searcher(
    app: App, namespace: Namespace, collections: Sequence[str], name: str = "by", **extra: Any
) -> str:
    search = {"feature_uri": URI, "query": "{{INPUT.q}}", "top_k": 10, **extra}
    types = {"q": {"type": "string", "required": True}}
    make_retriever(
        app,
        namespace,
        [stage("feature_search", searches=[search])],
        name=name,
        collection_identifiers=list(collections),
        input_schema=types,
    )
    return name


def ask(app: App, namespace: Namespace, retriever: str, *queries: str) -> list[JsonObject]:
    asked = [{"inputs": {"q": query}} for query in queries]
    results: list[JsonObject] = run_batch(app, namespace, retriever, asked)["results"]
    return results


def ids_of(result: JsonObject) -> list[str]:
    assert result["status"] == "completed", result
    return [document["document_id"] for document in result["documents"]]


def test_texts_and_pictures_find_each_other(app: App, bedrock: Bedrock) -> None:
    namespace = make_namespace(app)
    collection = make_collection(app, namespace, dimension=256)
    fill(app, namespace, collection)
    retriever = make_searcher(app, namespace, [collection])
    by_text, by_file, of_two = ask(
        app, namespace, retriever, "a blue thing", data_uri(PICTURES["red"]), "blue green"
    )
    assert ids_of(by_text)[0] == "blue"
    assert ids_of(by_file)[0] == "red"
    assert ids_of(of_two)[0] == "note"
    purposes = {request["input_type"] for request in bedrock.requests}
    assert purposes == {"search_document", "search_query"}
    assert {request["output_dimension"] for request in bedrock.requests} == {256}


def test_texts_of_a_batch_share_requests_and_equal_ones_are_sent_once(
    app: App, bedrock: Bedrock
) -> None:
    namespace = make_namespace(app)
    collection = make_collection(app, namespace)
    fill(app, namespace, collection)
    retriever = make_searcher(app, namespace, [collection])
    bedrock.requests.clear()
    words = [f"{WORDS[n % 3]} thing {n // 6}" for n in range(30)]
    for word, result in zip(words, ask(app, namespace, retriever, *words), strict=True):
        assert ids_of(result)[0] == word.split()[0]
    sent = [text for request in bedrock.requests for text in request["texts"]]
    assert sorted(sent) == sorted(set(words))


def test_a_query_cannot_choose_where_content_goes(app: App, bedrock: Bedrock) -> None:
    namespace = make_namespace(app)
    collection = make_collection(app, namespace)
    fill(app, namespace, collection)
    bedrock.requests.clear()
    other = {"params": {"model": "somebody.else"}}
    retriever = make_searcher(app, namespace, [collection], query_preprocessing=other)
    (result,) = ask(app, namespace, retriever, "red")
    assert result["status"] == "failed"
    assert "the collection's" in result["error"]["message"]
    assert bedrock.requests == []


def test_collections_of_different_models_are_not_searched_as_one(app: App) -> None:
    namespace = make_namespace(app)
    newer = make_collection(app, namespace)
    older = make_collection(app, namespace, "older", dimension=256)
    fill(app, namespace, newer)
    fill(app, namespace, older)
    retriever = make_searcher(app, namespace, [newer, older])
    (result,) = ask(app, namespace, retriever, "red")
    assert result["error"]["code"] == "validation_failed"
    single = make_searcher(app, namespace, [newer, older], "one", collection_identifiers=[older])
    assert ids_of(ask(app, namespace, single, "red")[0])[0] == "red"


def test_text_for_an_extractor_of_pictures_alone_is_refused(app: App) -> None:
    namespace = make_namespace(app)
    body = {
        "collection_name": "hashes",
        "feature_extractor": {"feature_extractor_name": "image.pdq"},
    }
    request = parse_model(CollectionCreate, body)
    collection = app.collections.create(namespace.namespace_id, request)
    index = next(iter(app.store.describe(namespace.namespace_id, collection.collection_id).specs))
    search = {"feature_uri": index, "query": {"input_mode": "text", "value": "{{INPUT.q}}"}}
    make_retriever(
        app,
        namespace,
        [stage("feature_search", searches=[search])],
        collection_identifiers=[collection.collection_id],
    )
    (result,) = ask(app, namespace, "nearest", "red")
    assert "no text extractor" in result["error"]["message"]


def test_a_collection_is_refused_before_it_exists(app: App) -> None:
    namespace = make_namespace(app)
    with pytest.raises(InvalidRequestError, match="TRAWL_BEDROCK_MODELS"):
        make_collection(app, namespace, model="cohere.embed-english-v3")
    with pytest.raises(InvalidRequestError, match="colour"):
        make_collection(app, namespace, colour="red")
    names = [each.collection_name for each in app.collections.all(namespace.namespace_id)]
    assert "photos" not in names


def test_without_the_operator_there_is_no_model(tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        namespace = make_namespace(app)
        with pytest.raises(MissingExtraError, match="TRAWL_BEDROCK_MODELS"):
            make_collection(app, namespace)

"""The official SDK, with only its `base_url` changed: a journey from nothing to a batch."""

import warnings
from typing import Any

import pytest

from core.models.responses import BatchAnswer, ExecutionAnswer
from tests.e2e.colors import VECTORS, make_retriever, store_colors
from tests.servers import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the generated models shadow names of their base
    import mixpeek.models
    from mixpeek import Mixpeek
    from mixpeek._client.client import MixpeekAPIError

# The generated package exports nothing explicitly, and its parsers are typed to return None.
typed: Any = mixpeek.models


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    """A client of the SDK in a namespace that it made itself, with three documents."""
    sdk: Any = Mixpeek(
        server.running.admin_key, namespace="colors", base_url=f"{server.base_url}/v1"
    )
    assert typed.BYOUpsertResponse.from_dict(store_colors(sdk)) is not None
    make_retriever(sdk)
    return sdk


def test_namespaces_are_listed_and_read(client: Any) -> None:
    assert "colors" in [found.namespace_id for found in client.namespaces.list().results]
    found = client.namespaces.get("colors")
    assert found.document_count == 3
    assert typed.NamespaceModel.from_dict(found) is not None


def test_one_query_is_answered_and_parsed_by_the_typed_class(client: Any) -> None:
    answer = client.retrievers.execute(
        "colors", inputs={"vector": VECTORS["green"]}, settings={"limit": 2}
    )
    assert [document.document_id for document in answer.documents] == ["green", "blue"]
    parsed = typed.ExecuteRetrieverResponse.from_dict(answer)
    assert parsed is not None
    assert parsed.status == "completed"
    assert parsed.documents[0]["name"] == "green"
    ExecutionAnswer.model_validate(answer)


def test_a_batch_answers_every_query_in_order(client: Any) -> None:
    answer = client.retrievers.execute_batch(
        "colors",
        queries=[{"vector": VECTORS[name]} for name in ("blue", "red")] + [{"vector": [1]}],
        settings={"limit": 1},
        concurrency=2,
    )
    assert [result.index for result in answer.results] == [0, 1, 2]
    tops = [result.documents[0].document_id for result in answer.results[:2]]
    assert tops == ["blue", "red"]
    assert answer.status == "partial"
    failed = answer.results[2]
    assert (failed.status, failed.error.blame, failed.error.retryable) == (
        "failed", "caller", False,
    )  # fmt: skip
    assert answer.unprocessed == []
    BatchAnswer.model_validate(answer)


def test_the_retriever_is_read_listed_changed_cloned_and_deleted(client: Any) -> None:
    read = client.retrievers.get("colors")
    assert typed.RetrieverModelOutput.from_dict(read).retriever_name == "colors"
    assert read.stages[0].parameters == read.stages[0].config.parameters
    listed = client.retrievers.list()
    assert typed.ListRetrieversResponse.from_dict(listed).total == listed.total
    clone = client.retrievers.clone("colors", name="copy")
    assert typed.CloneRetrieverResponse.from_dict(clone).source_retriever_id == read.retriever_id
    changed = client.retrievers.update("copy", description="mine")
    assert typed.PatchRetrieverResponse.from_dict(changed).retriever.version == 2
    # What was read can be sent back: nothing of it is an unknown key.
    again = client.retrievers.update("copy", stages=read.stages)
    assert again.retriever.version == 3
    client.retrievers.delete("copy")
    with pytest.raises(MixpeekAPIError) as error:
        client.retrievers.get("copy")
    assert error.value.status == 404


def test_explain_is_parsed_by_the_typed_class(client: Any) -> None:
    answer = client._request("POST", "/retrievers/colors/execute/explain", body={"inputs": {}})
    assert typed.ExplainRetrieverResponse.from_dict(answer).total_estimated_stages == 1


def test_documents_are_listed_read_changed_and_deleted(client: Any) -> None:
    collection = client.namespaces.get("colors").default_collection_id
    page = client.documents.list(collection, page_size=2)
    assert [document.document_id for document in page.results] == ["blue", "green"]
    assert typed.ListDocumentsResponse.from_dict(page) is not None
    rest = client.documents.list(collection, page_size=2, cursor=page.pagination.next_cursor)
    assert [document.document_id for document in rest.results] == ["red"]
    changed = client.documents.update(collection, "red", update_data={"hue": {"h": 0}})
    assert changed.hue.h == 0
    read = client.documents.get(collection, "red")
    assert typed.DocumentResponse.from_dict(read).document_id == "red"
    # A document that was read can be sent back as it is.
    assert client.documents.update(collection, "red", update_data=dict(read)).name == "red"


def test_a_search_without_a_stored_retriever(client: Any) -> None:
    found = client.search(
        namespace_id="colors",
        queries=[{"vector_name": "clip", "vector": VECTORS["red"]}],
        limit=1,
    )
    assert found.documents[0].document_id == "red"


def test_errors_are_what_the_sdk_reads(client: Any) -> None:
    with pytest.raises(MixpeekAPIError) as error:
        client.retrievers.execute_batch("colors", queries=[{"vector": [1, 0, 0]}] * 51)
    assert error.value.status == 422
    parsed = typed.ErrorResponse.from_dict(error.value.detail)
    assert parsed.error.details["limits"] == {"max_queries": 50}
    with pytest.raises(MixpeekAPIError) as missing:
        client.retrievers.execute("nobody", inputs={})
    assert typed.ErrorResponse.from_dict(missing.value.detail).error.type == "NotFoundError"


def test_collections_are_made_and_listed(client: Any) -> None:
    made = client.collections.create(
        name="images", feature_extractor={"feature_extractor_name": "image.pdq", "version": "v1"}
    )
    [index] = made.vector_indexes
    assert index.feature_uri == "mixpeek://image.pdq@v1/hash"
    assert index.index == {
        "name": "image_pdq_v1_hash",
        "dimensions": 256,
        "distance": "hamming",
        "inference_name": "image.pdq",
    }
    assert "images" in [one.collection_name for one in client.collections.list().results]
    assert client.collections.update("images", description="x").description == "x"
    client.collections.delete("images")

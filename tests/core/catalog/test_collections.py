"""Collections: what their vectors are, and what a name or a deletion touches."""

import pytest

from core.app import App
from core.deadline import NEVER
from core.errors import AlreadyExistsError, InvalidRequestError, NotFoundError
from core.models.collections import CollectionCreate, CollectionPatch
from core.models.documents import UpsertRequest
from core.models.namespaces import FeatureExtractorConfig, Namespace, VectorConfig


def create(app: App, name: str, **options: object) -> str:
    """Make a collection; return its id."""
    request = CollectionCreate.model_validate({"collection_name": name, **options})
    return app.collections.create("space", request).collection_id


def test_declared_and_extracted_vectors_stand_side_by_side(app: App, namespace: Namespace) -> None:
    extractor = FeatureExtractorConfig(feature_extractor_name="image.pdq")
    vectors = [VectorConfig(name="clip", dimension=3, metric="dot_product")]
    create(app, "images", feature_extractor=extractor, vector_configs=vectors)
    described = app.collections.describe(app.collections.find("space", "images"), count=True)
    assert described["vector_indexes"][0]["name"] == "image_pdq_v2_hash"
    indexes = {one["name"]: one for one in described["vector_indexes"]}
    assert indexes["clip"]["feature_uri"] == "clip"
    assert indexes["clip"]["index"]["distance"] == "dot"
    assert indexes["image_pdq_v2_hash"]["feature_uri"] == "mixpeek://image.pdq@v2/hash"
    assert described["document_count"] == 0


def test_learnt_vectors_are_shown_once_they_are_known(app: App, namespace: Namespace) -> None:
    documents = [{"document_id": "a", "vectors": {"v": [1, 2]}}]
    request = UpsertRequest.model_validate({"documents": documents})
    app.documents.upsert(namespace, request, deadline=NEVER)
    described = app.collections.describe(app.collections.find("space", "default"))
    assert [one["name"] for one in described["vector_indexes"]] == ["v"]
    assert "document_count" not in described


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"feature_extractor_name": "no.such"}, "feature_extractor.feature_extractor_name"),
        (
            {"feature_extractor_name": "image.pdq", "version": "v9"},
            "feature_extractor.version",
        ),
    ],
)
def test_an_unknown_extractor_says_which_there_are(
    app: App, namespace: Namespace, config: dict[str, str], path: str
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        create(app, "images", feature_extractor=config)
    [problem] = error.value.problems
    assert problem.path == path
    assert problem.accepted


def test_two_collections_never_share_a_name(app: App, namespace: Namespace) -> None:
    create(app, "images")
    create(app, "texts")
    with pytest.raises(AlreadyExistsError):
        create(app, "images")
    with pytest.raises(AlreadyExistsError):
        app.collections.patch("space", "texts", CollectionPatch(collection_name="images"))
    assert len(app.collections.all("space")) == 3


def test_a_patch_changes_what_it_names(app: App, namespace: Namespace) -> None:
    collection_id = create(app, "images", description="old", metadata={"a": 1})
    app.collections.patch("space", "images", CollectionPatch(collection_name="photos"))
    found = app.collections.find("space", "photos")
    assert (found.collection_id, found.description, found.metadata) == (
        collection_id, "old", {"a": 1},
    )  # fmt: skip
    with pytest.raises(InvalidRequestError):
        app.collections.patch("space", "photos", CollectionPatch(collection_name=None))


def test_deleting_takes_the_documents_and_frees_the_name(app: App, namespace: Namespace) -> None:
    create(app, "images")
    request = UpsertRequest.model_validate(
        {"documents": [{"document_id": "a"}], "collection_id": "images"}
    )
    app.documents.upsert(namespace, request, deadline=NEVER)
    app.collections.delete("space", "images")
    with pytest.raises(NotFoundError):
        app.collections.find("space", "images")
    create(app, "images")
    assert app.documents.snapshot(app.collections.find("space", "images")).count == 0


def test_the_default_collection_stays_with_its_namespace(app: App, namespace: Namespace) -> None:
    with pytest.raises(InvalidRequestError):
        app.collections.delete("space", "default")
    with pytest.raises(NotFoundError):
        app.collections.delete("elsewhere", namespace.default_collection_id)

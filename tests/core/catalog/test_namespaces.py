"""Namespaces: names, ids, crashes between their writes, and what deleting leaves."""

from typing import Any

import pytest

from core.app import App
from core.errors import (
    AlreadyExistsError,
    BadRequestError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from core.models.collections import CollectionCreate
from core.models.namespaces import (
    FeatureExtractorConfig,
    Namespace,
    NamespaceCreate,
    NamespacePatch,
    StandaloneNamespaceCreate,
)


def managed(name: str, **options: Any) -> NamespaceCreate:
    """Return a request for a managed namespace."""
    return NamespaceCreate(namespace_name=name, **options)


def test_ids_and_names_find_the_same(app: App) -> None:
    made = app.namespaces.create(managed("brands"))
    assert made.namespace_id.startswith("ns_")
    assert app.namespaces.find("brands") == app.namespaces.find(made.namespace_id) == made


def test_no_name_hides_an_id_and_no_id_a_name(app: App) -> None:
    made = app.namespaces.create(managed("brands"))
    taken: list[Any] = [
        managed("brands"),
        managed("other", namespace_id="brands"),
        managed("other", namespace_id=made.namespace_id),
        StandaloneNamespaceCreate(namespace_id="brands"),
        StandaloneNamespaceCreate(namespace_name=made.namespace_id),
    ]
    for request in taken:
        with pytest.raises(AlreadyExistsError):
            app.namespaces.create(request)
    assert [one.namespace_id for one in app.namespaces.all()] == [made.namespace_id]


def test_a_refused_namespace_leaves_no_collection_behind(app: App) -> None:
    app.namespaces.create(managed("brands"))
    with pytest.raises(AlreadyExistsError):
        app.namespaces.create(managed("brands", namespace_id="ns_second"))
    assert app.collections.all("ns_second") == []


def test_a_sole_extractor_is_the_default_collections_own(app: App) -> None:
    extractor = FeatureExtractorConfig(feature_extractor_name="image.pdq")
    made = app.namespaces.create(managed("brands", feature_extractors=[extractor]))
    collection = app.collections.find(made.namespace_id, "default")
    assert collection.collection_id == made.default_collection_id
    assert collection.feature_extractor is not None
    assert collection.feature_extractor.name == "image.pdq"


def test_an_unknown_extractor_makes_nothing(app: App) -> None:
    extractor = FeatureExtractorConfig(feature_extractor_name="no.such")
    with pytest.raises(InvalidRequestError) as error:
        app.namespaces.create(managed("brands", feature_extractors=[extractor]))
    assert error.value.problems[0].path == "feature_extractors.0.feature_extractor_name"
    assert app.namespaces.all() == []


def test_a_new_name_frees_the_old_one_and_keeps_the_id(app: App, namespace: Namespace) -> None:
    app.namespaces.patch("space", NamespacePatch(namespace_name="room"))
    assert app.namespaces.find("room").namespace_id == "space"
    assert app.namespaces.find("space").namespace_name == "room"
    app.namespaces.patch("room", NamespacePatch(namespace_name="hall"))
    with pytest.raises(NotFoundError):
        app.namespaces.find("room")
    app.namespaces.create(managed("room"))
    with pytest.raises(AlreadyExistsError):
        app.namespaces.patch("hall", NamespacePatch(namespace_name="room"))


def test_a_patch_of_nothing_and_of_null(app: App, namespace: Namespace) -> None:
    with pytest.raises(BadRequestError):
        app.namespaces.patch("space", NamespacePatch())
    with pytest.raises(InvalidRequestError):
        app.namespaces.patch("space", NamespacePatch(namespace_name=None))
    assert app.namespaces.patch("space", NamespacePatch(description=None)).description is None


def test_deleting_frees_id_and_name_and_forgets_everything(app: App, namespace: Namespace) -> None:
    app.collections.create("space", CollectionCreate(collection_name="images"))
    app.namespaces.delete("space")
    assert app.namespaces.all() == []
    again = app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))
    assert [one.collection_name for one in app.collections.all("space")] == ["default"]
    assert again.default_collection_id != namespace.default_collection_id


def test_a_crash_while_deleting_is_finished_by_the_next_call(
    app: App, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise UnavailableError("the store went away")

    with monkeypatch.context() as patch:
        patch.setattr(app.collections, "delete", crash)
        with pytest.raises(UnavailableError):
            app.namespaces.delete("space")
    with pytest.raises(NotFoundError):
        app.namespaces.find("space")
    assert app.namespaces.all() == []
    # Until it is finished nobody can take the name and find what was left.
    with pytest.raises(AlreadyExistsError):
        app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))
    app.namespaces.delete("space")
    app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))

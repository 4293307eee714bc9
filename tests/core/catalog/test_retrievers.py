"""Retrievers: versions, names, and the changes that would break their callers."""

from typing import Any

import pytest

from core.app import App
from core.catalog.retriever_answers import describe_retriever
from core.errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from core.models.collections import CollectionCreate
from core.models.namespaces import Namespace
from core.models.retriever import (
    Retriever,
    RetrieverClone,
    RetrieverCreate,
    RetrieverPatch,
)

LIMIT = {"stage_name": "cut", "config": {"stage_id": "limit", "parameters": {"limit": 3}}}


def accept(_namespace: Namespace, _retriever: Retriever) -> None:
    """A check that finds nothing wrong."""


def request(name: str = "nearest", **options: Any) -> RetrieverCreate:
    """Return a request for a retriever of one stage."""
    return RetrieverCreate.model_validate({"retriever_name": name, "stages": [LIMIT], **options})


@pytest.fixture
def made(app: App, namespace: Namespace) -> Retriever:
    """A stored retriever with two inputs."""
    schema = {"query": {"type": "text", "required": True}, "k": {"type": "integer"}}
    return app.retrievers.create(namespace, request(input_schema=schema), check=accept, by="key")


def patch(app: App, namespace: Namespace, **changes: Any) -> Retriever:
    """Patch `nearest`."""
    body = RetrieverPatch.model_validate(changes)
    return app.retrievers.patch(namespace, "nearest", body, check=accept, by="other")


def test_found_by_id_and_name_as_it_was_stored(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    assert app.retrievers.find("space", made.retriever_id) == made
    assert app.retrievers.find("space", "nearest") == made
    assert made.collection_ids == (namespace.default_collection_id,)
    assert (made.version, made.created_by, made.stages[0].stage_type) == (1, "key", "reduce")


def test_retrievers_of_another_namespace_are_not_there(app: App, made: Retriever) -> None:
    with pytest.raises(NotFoundError):
        app.retrievers.find("elsewhere", made.retriever_id)


@pytest.mark.parametrize("name", ["a/b", "a\nb", " a", "ret_" + "0" * 24])
def test_names_that_could_not_be_found_again(app: App, namespace: Namespace, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        app.retrievers.create(namespace, request(name), check=accept)


def test_a_taken_name_is_a_conflict(app: App, namespace: Namespace, made: Retriever) -> None:
    with pytest.raises(AlreadyExistsError):
        app.retrievers.create(namespace, request(), check=accept)
    with pytest.raises(AlreadyExistsError):
        app.retrievers.clone(
            namespace, "nearest", RetrieverClone(retriever_name="nearest"), check=accept
        )
    assert app.retrievers.all("space") == [made]


def test_what_the_check_refuses_is_not_stored(app: App, namespace: Namespace) -> None:
    def refuse(_namespace: Namespace, _retriever: Retriever) -> None:
        raise InvalidRequestError("no")

    with pytest.raises(InvalidRequestError):
        app.retrievers.create(namespace, request(), check=refuse)
    assert app.retrievers.all("space") == []


def test_all_unknown_collections_are_named(app: App, namespace: Namespace) -> None:
    app.collections.create("space", CollectionCreate(collection_name="images"))
    body = request(collection_ids=["images", "one", "default", "two"])
    with pytest.raises(InvalidRequestError) as error:
        app.retrievers.create(namespace, body, check=accept)
    paths = [problem.path for problem in error.value.problems]
    assert paths == ["collection_identifiers.1", "collection_identifiers.3"]


def test_each_patch_is_a_new_version_of_what_it_names(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    new = patch(app, namespace, description="mine", retriever_name="renamed")
    assert (new.version, new.description, new.stages) == (2, "mine", made.stages)
    assert (new.created_by, new.updated_by) == ("key", "other")
    assert app.retrievers.find("space", "renamed") == new
    with pytest.raises(NotFoundError):
        app.retrievers.find("space", "nearest")


def test_an_empty_patch_is_a_bad_request(app: App, namespace: Namespace, made: Retriever) -> None:
    with pytest.raises(BadRequestError):
        patch(app, namespace)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"query": {"type": "text", "required": True}}, "input_schema.k"),
        ({"query": {"type": "text"}, "k": {"type": "text"}}, "input_schema.k.type"),
        (
            {"query": {"type": "text"}, "k": {"type": "integer", "required": True}},
            "input_schema.k.required",
        ),
        (
            {"query": {"type": "text"}, "k": {"type": "integer"},
             "new": {"type": "text", "required": True}},
            "input_schema.new.required",
        ),
    ],
)  # fmt: skip
def test_changes_that_break_callers_are_refused(
    app: App, namespace: Namespace, made: Retriever, schema: Any, path: str
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        patch(app, namespace, input_schema=schema)
    assert path in [problem.path for problem in error.value.problems]
    assert app.retrievers.find("space", "nearest") == made


def test_changes_that_break_nobody_are_taken(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    schema = {
        "query": {"type": "text", "description": "what"},
        "k": {"type": "integer", "default": 3},
        "new": {"type": "text", "required": True, "default": "x"},
    }
    assert set(patch(app, namespace, input_schema=schema).input_schema) == set(schema)


def test_a_patch_that_loses_a_race_is_made_again(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    first = True

    def interfere(_namespace: Namespace, _retriever: Retriever) -> None:
        nonlocal first
        if first:
            first = False
            patch(app, namespace, tags=["theirs"])

    body = RetrieverPatch(description="mine")
    new = app.retrievers.patch(namespace, "nearest", body, check=interfere)
    assert (new.version, new.tags, new.description) == (3, ["theirs"], "mine")


def test_a_race_that_is_always_lost_is_said_to_be(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    def interfere(_namespace: Namespace, _retriever: Retriever) -> None:
        patch(app, namespace, tags=["theirs"])

    with pytest.raises(ConflictError):
        app.retrievers.patch(
            namespace, "nearest", RetrieverPatch(description="mine"), check=interfere
        )


def test_a_clone_is_independent(app: App, namespace: Namespace, made: Retriever) -> None:
    body = RetrieverClone(retriever_name="copy", tags=["t"])
    clone, source = app.retrievers.clone(namespace, "nearest", body, check=accept)
    assert source == made.retriever_id
    assert (clone.version, clone.tags, clone.stages) == (1, ["t"], made.stages)
    patch(app, namespace, description="changed")
    assert app.retrievers.find("space", "copy").description is None


def test_an_answer_can_be_sent_back_as_a_request(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    answer = describe_retriever(made)
    assert answer["stages"][0]["parameters"] == {"limit": 3}
    patched = patch(app, namespace, stages=answer["stages"], input_schema=answer["input_schema"])
    assert patched.stages == made.stages


def test_feature_dependencies_are_found_wherever_they_stand(app: App, namespace: Namespace) -> None:
    uri = "mixpeek://image.pdq@v1/hash"
    searches = [{"feature_uri": uri}, {"feature_uri": "bare"}, {"feature_uri": uri}]
    stage = {"stage_id": "feature_search", "parameters": {"searches": searches, "fusion": "max"}}
    body = RetrieverCreate.model_validate({"retriever_name": "x", "stages": [stage]})
    answer = describe_retriever(app.retrievers.create(namespace, body, check=accept))
    assert answer["feature_dependencies"] == [
        {"scheme": "mixpeek", "extractor": "image.pdq", "version": "v1", "output": "hash"}
    ]
    assert answer["fusion"] == "max"


def test_a_name_whose_address_means_something_else_is_refused(
    app: App, namespace: Namespace, made: Retriever
) -> None:
    with pytest.raises(InvalidRequestError, match="retriever_name: 'stages' is reserved"):
        app.retrievers.create(namespace, request("stages"), check=accept)
    with pytest.raises(InvalidRequestError, match="reserved"):
        patch(app, namespace, retriever_name="stages")
    assert app.retrievers.find("space", made.retriever_id).retriever_name == "nearest"

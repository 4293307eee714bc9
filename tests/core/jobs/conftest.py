"""A service in a folder with a namespace of vectors, and its jobs, run by threads or by hand."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.app import App
from core.jobs.catalog import JobCatalog
from core.models.namespaces import Namespace
from tests.core.jobs.by_hand import ByHand
from tests.core.service import (
    make_namespace,
    make_retriever,
    random_documents,
    running_app,
    search_stage,
    upsert,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        yield app


@pytest.fixture(scope="module")
def shop(app: App) -> Namespace:
    namespace = make_namespace(app)
    upsert(app, namespace, random_documents(30))
    inputs = {"v": {"type": "array", "required": True}}
    make_retriever(app, namespace, [search_stage()], input_schema=inputs)
    make_retriever(app, namespace, [search_stage()], "far", input_schema=inputs)
    return namespace


@pytest.fixture
def runner() -> ByHand:
    return ByHand()


@pytest.fixture
def jobs(app: App, runner: ByHand) -> JobCatalog:
    """The app's jobs, which nobody runs."""
    return replace(app.jobs, runner=runner)

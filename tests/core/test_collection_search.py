"""The contract of searched collections, for every engine that can keep their vectors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters import vectors_s3
from core.runtime import remote_searching
from tests.contracts.collection_search import CollectionSearchContract, Shelf, make_shelf
from tests.s3vectors_fake import BUCKET, FakeS3Vectors


class TestEmbedded(CollectionSearchContract):
    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Iterator[Shelf]:
        with make_shelf(tmp_path, "embedded") as shelf:
            yield shelf


class TestS3Vectors(CollectionSearchContract):
    """As deployed: filters that few documents pass are answered by reading these."""

    @pytest.fixture
    def shelf(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
        fake = FakeS3Vectors()
        monkeypatch.setattr(vectors_s3, "make_client", lambda *_, **__: fake.client)
        with make_shelf(tmp_path, "s3vectors", vector_bucket=BUCKET) as shelf:
            yield shelf


class TestS3VectorsByIndexAlone(TestS3Vectors):
    """As with large collections: every filter goes to the index, as far as it can be said."""

    @pytest.fixture(autouse=True)
    def _never_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remote_searching, "MAX_READ", -1)

"""The reference engine against the port's contract."""

import pytest

from core.adapters.vectors_reference import ReferenceVectors
from core.ports.vectors import VectorSearch
from tests.contracts.vectors import VectorsContract


class TestReferenceVectors(VectorsContract):
    @pytest.fixture
    def engine(self) -> VectorSearch:
        return ReferenceVectors()

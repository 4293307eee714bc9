"""What a cold start pays for, as ceilings on what is imported; no clock is asked.

An entry below that grows is a decision: measure `make bench-cold_start` before and after.
"""

import pytest

from tests.imports import libraries, loaded_by

# pydantic and what comes with it.
PYDANTIC = {
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
}
# Powertools imports botocore's bare root (0.4 ms); its session is checked below.
POWERTOOLS = {"aws_lambda_powertools", "jmespath", "botocore"}

# Statement -> the libraries that it may load; anything else is paid for by every cold start.
CEILINGS = {
    "import core": set(),
    "import core.settings": set(),
    "import core.errors": set(),
    "import core.types": {"numpy"},
    "from core.registry import stage_names; stage_names()": PYDANTIC | {"numpy", "orjson"},
    "import core.plan.nodes": PYDANTIC | {"numpy", "orjson"},
    "import core.engine": PYDANTIC | {"numpy", "orjson"},
    "import handlers.api": PYDANTIC | POWERTOOLS | {"numpy", "orjson", "snapshot_restore_py"},
    "import handlers.cli": {"click"},
}


@pytest.mark.parametrize("statement", CEILINGS)
def test_no_library_is_loaded_that_the_entry_does_not_use(statement: str) -> None:
    assert libraries(loaded_by(statement)) <= CEILINGS[statement]


def test_listing_the_stages_imports_none_of_them() -> None:
    loaded = loaded_by("from core.registry import stage_names; assert stage_names()")
    assert not [name for name in loaded if name.startswith("core.stages.")]


def test_finding_one_stage_imports_no_other() -> None:
    loaded = loaded_by("from core.registry import find_stage; find_stage('limit')")
    assert [name for name in loaded if name.startswith("core.stages.")] == ["core.stages.limit"]


@pytest.mark.parametrize("library", ["boto3", "PIL", "re2", "minijinja", "tantivy", "numkong"])
def test_the_api_loads_a_heavy_library_only_when_a_request_needs_it(library: str) -> None:
    assert library not in libraries(loaded_by("import handlers.api"))


def test_the_api_makes_no_sdk_session_at_import() -> None:
    assert "botocore.session" not in loaded_by("import handlers.api")

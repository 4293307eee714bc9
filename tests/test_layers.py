"""Who may import whom, as data, checked against the sources and against a running interpreter.

A new module in `core/` belongs to a layer: name it here, or the first test fails.
"""

import pytest

from tests.imports import imports_of, libraries, loaded_by, module_names, source_of

# --- the layers, bottom first ------------------------------------------------------------------

# Modules of `core/` that share a layer under one name; every other name is its own layer.
FLOOR = {"types", "arrays", "errors", "deadline", "clock", "ids", "json_bytes"}
# What a stage is made of, beside its contract.
CONTRACT = {"hits", "traits"}
# The journey of a batch, and the pages it turns to.
ENGINE = {"engine", "planner"}

BASE = FLOOR | {"models"}
WORDS = BASE | {"ports", "templating", "templates", "filtering", "rows"}
STAGE = WORDS | CONTRACT | {"stage"}
PLAN = STAGE | {"registry", "plan"}
PARTS = {"search", "storage", "media", "auth", "delivery"}

# Layer -> the layers that it may import, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(FLOOR, FLOOR),
    "settings": FLOOR,
    "models": FLOOR,
    "ports": BASE,
    "templating": BASE,
    "templates": BASE | {"templating"},
    "filtering": BASE | {"templating", "templates"},
    "rows": BASE | {"filtering"},
    **dict.fromkeys(CONTRACT, WORDS),
    "stage": WORDS | CONTRACT,
    "registry": WORDS | {"stage"},
    "stages": STAGE,
    "search": WORDS,
    "storage": WORDS | {"search"},
    "media": WORDS,
    "auth": WORDS,
    "delivery": WORDS,
    "adapters": WORDS | {"search", "storage", "media"},
    "plan": PLAN,
    "optimizer": PLAN,
    "runtime": PLAN | {"search", "storage", "media", "delivery"},
    "catalog": PLAN | PARTS | {"optimizer"},
    "ingest": PLAN | PARTS | {"optimizer", "catalog"},
    **dict.fromkeys(ENGINE, PLAN | PARTS | ENGINE | {"optimizer", "runtime"}),
    "jobs": PLAN | PARTS | ENGINE | {"optimizer", "runtime", "catalog"},
    "scan": PLAN | PARTS | ENGINE | {"optimizer", "runtime", "catalog"},
    "backends": PLAN | PARTS | {"jobs", "adapters", "settings"},
    "app": PLAN
    | PARTS
    | ENGINE
    | {"scan", "optimizer", "runtime", "catalog", "ingest", "jobs", "backends", "adapters"}
    | {"settings"},
}
EVERYTHING_BUT_ADAPTERS = set(MAY_IMPORT) - {"adapters", "backends"}

# Outside core: what each package may take from it.
TAKES_FROM_CORE = {
    "handlers": EVERYTHING_BUT_ADAPTERS,
    "infra": {"settings", "errors"},  # the names of the environment's variables
}

# --- libraries -----------------------------------------------------------------------------------

ANYWHERE = {"numpy", "orjson"}
MODELLED = {
    "models",
    "traits",
    "stage",
    "stages",
    "registry",
    "plan",
    "optimizer",
    "catalog",
    "runtime",
}

# Library -> the layers of core, or the packages beside it, that may import it.
MAY_USE: dict[str, set[str]] = {
    "pydantic": MODELLED | ENGINE | {"auth", "handlers"},
    "pydantic_core": MODELLED | {"handlers"},
    "boto3": {"adapters"},
    "botocore": {"adapters"},
    "types_boto3_dynamodb": {"adapters"},
    "types_boto3_s3": {"adapters"},
    "urllib3": {"adapters", "handlers"},
    "re2": {"filtering"},
    "minijinja": {"templates", "templating"},
    "numkong": {"search"},
    "tantivy": {"adapters"},
    "snowballstemmer": {"search", "filtering"},
    "blake3": {"storage"},
    "PIL": {"media", "handlers"},
    "cv2": {"media"},
    "onnxruntime": {"media"},
    "dlib": {"media"},
    "av": {"media", "handlers"},
    "aws_lambda_powertools": {"handlers"},
    "snapshot_restore_py": {"handlers"},
    "uvicorn": {"handlers"},
    "click": {"handlers"},
    "rich": {"handlers"},
    "aws_cdk": {"infra"},
    "constructs": {"infra"},
}

# Loaded by the engine on its way, whatever the import: never these.
NEVER_IN_CORE = {
    *("boto3", "botocore", "aws_lambda_powertools", "aws_xray_sdk", "awslambdaric"),
    *("aws_cdk", "jsii", "constructs", "starlette", "uvicorn", "click", "rich"),
}


def layer_of(module: str) -> str:
    """The layer of a module: `core.plan.nodes` -> `plan`, `handlers.api` -> `handlers`."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "core" else package


CORE = [m for m in module_names() if m.startswith("core.")]
EDGES = [m for m in module_names() if m.partition(".")[0] in TAKES_FROM_CORE]


def test_every_module_of_core_has_a_layer() -> None:
    assert {layer_of(module) for module in CORE} <= set(MAY_IMPORT)


def test_no_layer_reaches_itself_by_way_of_another() -> None:
    shared = [FLOOR, CONTRACT, ENGINE]  # members of one layer may import each other
    for layer, below in MAY_IMPORT.items():
        for other in below - {layer}:
            if not any({layer, other} <= group for group in shared):
                assert layer not in MAY_IMPORT[other], f"{layer} and {other}"


@pytest.mark.parametrize("module", CORE)
def test_core_imports_only_downward(module: str) -> None:
    layer = layer_of(module)
    for imported in imports_of(module):
        package = imported.partition(".")[0]
        assert package not in TAKES_FROM_CORE, f"{module} imports {imported}"
        if package == "core":
            assert layer_of(imported) in MAY_IMPORT[layer] | {layer}, f"{module}: {imported}"


@pytest.mark.parametrize("module", EDGES)
def test_edges_take_from_core_what_they_may(module: str) -> None:
    package = layer_of(module)
    for imported in imports_of(module):
        other = imported.partition(".")[0]
        assert other == package or other not in TAKES_FROM_CORE, f"{module}: {imported}"
        if other == "core":
            assert layer_of(imported) in TAKES_FROM_CORE[package], f"{module}: {imported}"


@pytest.mark.parametrize("module", CORE + EDGES)
def test_libraries_stay_where_they_belong(module: str) -> None:
    for library in libraries(imports_of(module)) - ANYWHERE:
        assert library in MAY_USE, f"{module} imports {library}: say here who may"
        assert layer_of(module) in MAY_USE[library], f"{module} imports {library}"


def test_a_stage_imports_no_other_stage() -> None:
    stages = {m for m in CORE if m.startswith("core.stages.") and not m.startswith("core.stages._")}
    for module in (m for m in CORE if m.startswith("core.stages")):
        assert not (imports_of(module) & stages), module


def test_inits_are_empty() -> None:
    for module in (*CORE, *EDGES, "core"):
        path = source_of(module)
        if path.name == "__init__.py":
            assert path.read_text() == "", path


def test_only_the_composition_root_imports_adapters() -> None:
    importers = {
        layer_of(module)
        for module in CORE + EDGES
        for imported in imports_of(module)
        if imported.startswith("core.adapters")
    }
    assert importers <= {"app", "backends", "adapters"}


def test_the_engine_runs_without_the_outside_world() -> None:
    loaded = loaded_by("import core.engine")
    assert not libraries(loaded) & NEVER_IN_CORE
    assert not [name for name in loaded if name.startswith(("core.adapters", "core.app"))]
    assert not [name for name in loaded if name.partition(".")[0] in TAKES_FROM_CORE]


def test_every_stage_loads_without_an_sdk() -> None:
    loaded = loaded_by(
        "from core.registry import find_stage, stage_names\n"
        "for name in stage_names(): find_stage(name)"
    )
    assert "core.stages.limit" in loaded
    assert not libraries(loaded) & NEVER_IN_CORE
    assert not [name for name in loaded if name.startswith(("core.adapters", "core.app"))]

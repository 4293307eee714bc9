"""Media functions of extras, read off the template: those that are named, and nothing more."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from infra.media import EXTRA_LIBRARIES, extra_contents, media_contents
from infra.settings import MEDIA_EXTRAS, ContextError, InfraSettings
from tests.infra.conftest import (
    Resources,
    function_of,
    lint,
    statements_of,
    synthesize,
    violations,
)
from tests.infra.test_operations_template import alarms_by_metric, widgets_of
from tests.infra.test_settings import Context

MEDIA = "handlers.media.handler"
CALLING = ("handlers.api.handler", "handlers.job.handler", "handlers.ingest.handler")
FUNCTION = "AWS::Lambda::Function"


@pytest.fixture(scope="module")
def extras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's path, with all extras."""
    folder = tmp_path_factory.mktemp("extras")
    model = folder / "own.onnx"
    model.write_bytes(b"a model")
    context = {"media_extras": "logo,onnx,face", "onnx_models": f"own={model}"}
    return synthesize(folder / "cdk", **context)


@pytest.fixture(scope="module")
def extras(extras_file: Path) -> Resources:
    """The resources, with all extras."""
    found: Resources = json.loads(extras_file.read_text())["Resources"]
    return found


def media_functions(resources: Resources) -> dict[str, dict[str, Any]]:
    """Return the media functions' properties by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == FUNCTION and resource["Properties"]["Handler"] == MEDIA
    }


def function_ids(resources: Resources, extra: str) -> str:
    [found] = [name for name in media_functions(resources) if name.startswith(f"Media{extra}")]
    return found


def test_there_is_none_unless_it_is_named(resources: Resources) -> None:
    assert len(media_functions(resources)) == 1
    assert "TRAWL_MEDIA_EXTRAS" not in json.dumps(resources)


def test_only_what_is_named_is_added(resources: Resources, extras: Resources) -> None:
    added = {name: resource["Type"] for name, resource in extras.items() if name not in resources}
    assert set(resources) <= set(extras) | {
        name
        for name in resources
        if "CurrentVersion" in name  # named by what it holds
    }
    kinds = sorted(kind for name, kind in added.items() if "CurrentVersion" not in name)
    assert kinds == sorted(
        [FUNCTION, "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::Logs::LogGroup"] * 3
        + ["AWS::CloudWatch::Alarm"] * 6
    )


def test_they_may_write_their_own_logs_and_nothing_else(extras: Resources) -> None:
    functions = media_functions(extras)
    assert len(functions) == 4
    for function in functions.values():
        [statement] = statements_of(extras, function["Role"])
        assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        logs = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert statement["Resource"] == {"Fn::GetAtt": [logs, "Arn"]}
        assert "TracingConfig" not in function
    groups = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions.values()}
    assert len(groups) == 4
    assert {extras[name]["Properties"]["RetentionInDays"] for name in groups} == {30}


def test_they_are_held_to_the_same_limits(extras: Resources) -> None:
    names = ("Runtime", "Architectures", "Timeout", "MemorySize")
    limits = {json.dumps([f[name] for name in names]) for f in media_functions(extras).values()}
    assert len(limits) == 1


@pytest.mark.parametrize("handler", CALLING)
def test_who_reads_files_may_call_these_and_knows_their_names(
    extras: Resources, handler: str
) -> None:
    caller = function_of(extras, handler)
    [invoking] = [
        s for s in statements_of(extras, caller["Role"]) if s["Action"] == "lambda:InvokeFunction"
    ]
    invoked = {resource["Fn::GetAtt"][0] for resource in invoking["Resource"]}
    assert invoked == set(media_functions(extras))
    parts = caller["Environment"]["Variables"]["TRAWL_MEDIA_EXTRAS"]["Fn::Join"][1]
    told = "".join(part if isinstance(part, str) else part["Ref"] for part in parts)
    names = ("TRAWL_TABLE", "TRAWL_ASSETS_BUCKET", "TRAWL_INDEX_BUCKET", "TRAWL_RESULTS_BUCKET")
    settings = Settings.from_environment(dict.fromkeys(names, "x") | {"TRAWL_MEDIA_EXTRAS": told})
    assert settings.media_extras == (
        ("logo", function_ids(extras, "Logo")),
        ("onnx", function_ids(extras, "Onnx")),
        ("face", function_ids(extras, "Face")),
    )
    assert caller["Environment"]["Variables"]["TRAWL_ONNX_MODELS"] == "own=models/own.onnx"


def test_faces_are_allowed_by_naming_their_extra(resources: Resources, extras: Resources) -> None:
    assert "TRAWL_FACES" not in json.dumps(resources)
    told = function_of(extras, CALLING[0])["Environment"]["Variables"]
    assert Settings.from_environment({"TRAWL_FACES": told["TRAWL_FACES"]}).faces


def test_upkeep_may_call_none(extras: Resources) -> None:
    upkeep = function_of(extras, "handlers.upkeep.handler")
    assert "lambda:" not in json.dumps(statements_of(extras, upkeep["Role"]))


def test_a_model_is_told_to_the_function_that_holds_it_alone(extras: Resources) -> None:
    told = {
        name: [key for key in function["Environment"]["Variables"] if "TRAWL" in key]
        for name, function in media_functions(extras).items()
    }
    onnx = function_ids(extras, "Onnx")
    assert told.pop(onnx) == ["TRAWL_ONNX_MODELS"]
    environment = media_functions(extras)[onnx]["Environment"]["Variables"]
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert list(told.values()) == [[], [], []]


def test_they_are_watched_like_the_first(extras: Resources) -> None:
    alarms = alarms_by_metric(extras)
    for metric in ("Errors", "Throttles"):
        watched = {alarm["Dimensions"][0]["Value"]["Ref"] for alarm in alarms[metric]}
        assert set(media_functions(extras)) <= watched
    shown = widgets_of(extras)
    for title in ("Calls", "Crashes and timeouts", "Throttled"):
        assert "Media-logo" in shown[title]


def test_cdk_nag_and_cfn_lint_find_nothing(extras_file: Path) -> None:
    assert violations(extras_file) == []
    assert lint(extras_file) == ""


def test_each_zip_holds_one_decoder() -> None:
    assert set(MEDIA_EXTRAS) == set(EXTRA_LIBRARIES)
    heavy = {"av", *EXTRA_LIBRARIES.values()}
    for extra in MEDIA_EXTRAS:
        names = {line.partition(">")[0] for line in extra_contents(extra, InfraSettings()).wanted}
        assert names & heavy == {EXTRA_LIBRARIES[extra]}
    assert {line.partition(">")[0] for line in media_contents().wanted} & heavy == {"av"}


def test_a_model_file_goes_into_the_zip(tmp_path: Path) -> None:
    path = tmp_path / "sscd.onnx"
    path.write_bytes(b"a model")
    given = Context(media_extras="onnx", onnx_models=f"sscd={path}")
    settings = InfraSettings.from_context(given)
    assert extra_contents("onnx", settings).files == (("models/sscd.onnx", path),)


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("media_extras", {"media_extras": "logos"}),
        ("media_extras", {"media_extras": "logo,logo"}),
        ("onnx_models", {"media_extras": "onnx"}),
        ("onnx_models", {"media_extras": "logo", "onnx_models": "a=HERE"}),
        ("onnx_models", {"media_extras": "onnx", "onnx_models": "a=/no/such/file"}),
        ("onnx_models", {"media_extras": "onnx", "onnx_models": "HERE"}),
        ("onnx_models", {"media_extras": "onnx", "onnx_models": "../a=HERE"}),
        ("onnx_models", {"media_extras": "onnx", "onnx_models": "Big=HERE"}),
        ("onnx_models", {"media_extras": "onnx", "onnx_models": "a=HERE,a=HERE"}),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_built(
    name: str, context: dict[str, str], tmp_path: Path
) -> None:
    here = tmp_path / "here.onnx"
    here.write_bytes(b"a model")
    given = {key: value.replace("HERE", str(here)) for key, value in context.items()}
    with pytest.raises(ContextError, match=f"context {name}="):
        InfraSettings.from_context(Context(**given))


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    here = tmp_path / "here.onnx"
    here.write_bytes(b"a model")
    given = Context(media_extras="onnx", onnx_models=f"a={here},b=/no/such.onnx")
    with pytest.raises(ContextError, match=r"There is no file /no/such\.onnx$"):
        InfraSettings.from_context(given)
    with pytest.raises(ContextError, match="only with it$"):
        InfraSettings.from_context(Context(media_extras="onnx", onnx_models=str(here)))

"""The synthesized stack, once per session: CDK's library runs on node, and takes seconds."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

# jsii prints a banner for node versions past their end of life; it is about the machine, not us.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20,22,24")

Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's path, synthesized with cdk-nag; the report lies beside it."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed, and CDK's library runs on it")
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    from infra.app import make_app

    folder = tmp_path_factory.mktemp("cdk")
    context = {"bundle": "false", "stage": "test", "read_buckets": "an-owners-bucket"}
    app = make_app(context, outdir=str(folder))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    try:
        app.synth()
    except RuntimeError as error:  # findings raise; `test_nag` shows them, one by one
        if "ValidationFailed" not in str(error):
            raise
    return folder / "trawl-test.template.json"


@pytest.fixture(scope="session")
def template(template_file: Path) -> dict[str, Any]:
    """The template as JSON."""
    parsed: dict[str, Any] = json.loads(template_file.read_text())
    return parsed


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> Resources:
    """The template's resources, by logical id."""
    found: Resources = template["Resources"]
    return found


def function_of(resources: Resources, handler: str) -> dict[str, Any]:
    """Return the properties of the one function that runs this handler."""
    functions: list[dict[str, Any]] = [
        f["Properties"] for f in of_type(resources, "AWS::Lambda::Function")
    ]
    [found] = [f for f in functions if f["Handler"] == handler]
    return found


def of_type(resources: Resources, kind: str) -> list[dict[str, Any]]:
    """Return the resources of a type; none at all is a failure of the test that asked."""
    found = [resource for resource in resources.values() if resource["Type"] == kind]
    assert found, f"no {kind} in the template"
    return found

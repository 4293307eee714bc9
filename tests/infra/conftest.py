"""The synthesized stack, once per session: CDK's library runs on node, and takes seconds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# jsii prints a banner for node versions past their end of life; it is about the machine, not us.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20,22,24")

Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's path, synthesized with cdk-nag; the report lies beside it."""
    return synthesize(tmp_path_factory.mktemp("cdk"))


def synthesize(folder: Path, **context: str) -> Path:
    """Synthesize the stack `test` with this context, checked by cdk-nag; return the template."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed, and CDK's library runs on it")
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    from infra.app import make_app

    given = {"bundle": "false", "stage": "test", "read_buckets": "an-owners-bucket", **context}
    app = make_app(given, outdir=str(folder))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    try:
        app.synth()
    except RuntimeError as error:  # findings raise; `violations` shows them, one by one
        if "ValidationFailed" not in str(error):
            raise
    return folder / "trawl-test.template.json"


def violations(template_file: Path) -> list[str]:
    """Return every finding of cdk-nag on a template, as one line each."""
    report = json.loads((template_file.parent / "validation-report.json").read_text())
    assert {"AwsSolutions", "Serverless"} <= {p["pluginName"] for p in report["pluginReports"]}
    return [
        f"{violation.get('ruleName')}: {violation.get('description')}"
        for plugin in report["pluginReports"]
        for violation in plugin.get("violations", [])
    ]


def lint(template_file: Path) -> str:
    """Return what cfn-lint says of a template, "" if nothing."""
    # W3005 (a dependency that is there twice): CDK writes both, on purpose.
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--ignore-checks", "W3005", "--"]
    done = subprocess.run(  # noqa: S603 - the arguments are ours: a path that pytest made
        [*command, str(template_file)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


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


def statements_of(resources: Resources, role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a role may do, by the reference to it that a function or machine holds."""
    name = role["Fn::GetAtt"][0]
    return [
        statement
        for policy in of_type(resources, "AWS::IAM::Policy")
        if {"Ref": name} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]

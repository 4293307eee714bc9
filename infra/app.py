"""The CDK app: `python -m infra.app` synthesizes, the CDK CLI calls it through cdk.json."""

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from infra.bundling import ROOT
from infra.settings import InfraSettings
from infra.stack import TrawlStack


def make_app(context: Mapping[str, Any] | None = None, outdir: str | None = None) -> cdk.App:
    """Return the app with its one stack.

    cdk.json's context is read here too, so that the same template comes out without the CLI;
    `context` is laid over it, and the CLI's `-c name=value` over both.
    """
    declared = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(context={**declared, **(context or {})}, outdir=outdir)
    settings = InfraSettings.from_context(app.node)
    TrawlStack(app, f"trawl-{settings.stage}", settings=settings)
    return app


if __name__ == "__main__":
    make_app().synth()

"""The CDK app: `python -m infra.app` synthesizes, the CDK CLI calls it through cdk.json."""

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from infra.settings import InfraSettings
from infra.stack import TrawlStack


def make_app(context: Mapping[str, Any] | None = None, outdir: str | None = None) -> cdk.App:
    """Return the app with its one stack; `context` stands for the CLI's `-c name=value`."""
    app = cdk.App(context=context, outdir=outdir)
    settings = InfraSettings.from_context(app.node)
    TrawlStack(app, f"trawl-{settings.stage}", settings=settings)
    return app


if __name__ == "__main__":
    make_app().synth()

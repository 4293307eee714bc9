"""Embedding models elsewhere that functions may call: those that the deployment's context names."""

import re

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from core.settings import variables
from infra.settings import InfraSettings

# An inference profile's id is a model's behind the place that it serves from.
_PROFILE = re.compile(r"(us|us-gov|eu|apac|au|ca|jp|global)\.(.+)")


def model_statements(scope: Construct, settings: InfraSettings) -> list[iam.PolicyStatement]:
    """Return the rights to call the named models and read their keys; none if none are named."""
    wanted = {
        "bedrock:InvokeModel": _model_arns(scope, settings),
        "sagemaker:InvokeEndpoint": [
            # Endpoints' ARNs are in lowercase, whatever their names are.
            _arn(scope, "sagemaker", "endpoint", name.lower())
            for name in settings.names_in("sagemaker_endpoints")
        ],
        "secretsmanager:GetSecretValue": _secrets(settings, "secretsmanager"),
        "ssm:GetParameter": _secrets(settings, "ssm"),
    }
    return [
        iam.PolicyStatement(actions=[action], resources=resources)
        for action, resources in wanted.items()
        if resources
    ]


def model_environment(settings: InfraSettings) -> dict[str, str]:
    """Return the variables that tell a function what it may call."""
    names = ("bedrock_models", "sagemaker_endpoints", "embedder_secrets")
    given = {name: ",".join(settings.names_in(name)) for name in names}
    return variables(**{name: value for name, value in given.items() if value})


def models_in_any_region(settings: InfraSettings) -> list[str]:
    """Return the models behind inference profiles, which answer from regions of AWS's choice."""
    found = [_PROFILE.fullmatch(name) for name in settings.names_in("bedrock_models")]
    return [match[2] for match in found if match is not None]


def _model_arns(scope: Construct, settings: InfraSettings) -> list[str]:
    arns = []
    for name in settings.names_in("bedrock_models"):
        profile = _PROFILE.fullmatch(name)
        if profile is None:
            arns.append(_arn(scope, "bedrock", "foundation-model", name, account=""))
            continue
        arns.append(_arn(scope, "bedrock", "inference-profile", name))
        arns.append(_arn(scope, "bedrock", "foundation-model", profile[2], account="", region="*"))
    return arns


def _arn(
    scope: Construct,
    service: str,
    resource: str,
    name: str,
    *,
    account: str | None = None,
    region: str | None = None,
) -> str:
    stack = Stack.of(scope)
    return stack.format_arn(
        service=service,
        resource=resource,
        resource_name=name,
        account=account,
        region=region,
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )


def _secrets(settings: InfraSettings, service: str) -> list[str]:
    references = [pair.partition("=")[2] for pair in settings.names_in("embedder_secrets")]
    return sorted({arn for arn in references if f":{service}:" in arn})

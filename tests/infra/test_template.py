"""What the stack promises, read off its CloudFormation template."""

import json
import re
from pathlib import Path
from typing import Any

from core.settings import Settings
from tests.imports import loaded_by
from tests.infra.conftest import Resources, function_of, lint, of_type, statements_of, violations

BUCKETS = "AWS::S3::Bucket"
TABLE = "AWS::DynamoDB::Table"
FUNCTION = "AWS::Lambda::Function"
API = "handlers.api.handler"
MEDIA = "handlers.media.handler"

# Actions that IAM can only allow on every resource.
WITHOUT_RESOURCE = {
    *("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
    *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups"),
    *("logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
    *("logs:PutResourcePolicy", "logs:UpdateLogDelivery"),
}
# What may be done to the executions of the state machine, which are named at run time.
EXECUTIONS = {"states:DescribeExecution", "states:StopExecution"}


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one without its brackets."""
    return value if isinstance(value, list) else [value]


def statements(resources: Resources) -> list[dict[str, Any]]:
    """Every statement that a role of ours has."""
    policies = of_type(resources, "AWS::IAM::Policy")
    return [s for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"]]


def test_every_bucket_is_encrypted_private_and_kept(resources: Resources) -> None:
    buckets = of_type(resources, BUCKETS)
    assert len(buckets) == 3
    for bucket in buckets:
        properties = bucket["Properties"]
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        block = properties["PublicAccessBlockConfiguration"]
        assert len(block) == 4
        assert all(block.values())
        assert properties["OwnershipControls"]["Rules"] == [
            {"ObjectOwnership": "BucketOwnerEnforced"}
        ]
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_every_bucket_refuses_plain_http(resources: Resources) -> None:
    policies = of_type(resources, "AWS::S3::BucketPolicy")
    assert len(policies) == len(of_type(resources, BUCKETS))
    for policy in policies:
        # Also once the stack is gone and the bucket is not.
        assert policy["DeletionPolicy"] == policy["UpdateReplacePolicy"] == "Retain"
        denied = [
            s["Condition"]
            for s in policy["Properties"]["PolicyDocument"]["Statement"]
            if s["Effect"] == "Deny"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_incomplete_uploads_go_and_only_results_expire(resources: Resources) -> None:
    expiring = []
    for name, resource in resources.items():
        if resource["Type"] != BUCKETS:
            continue
        rules = resource["Properties"]["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name
        if any("ExpirationInDays" in rule for rule in rules):
            expiring.append(name)
    assert [name.startswith("DataResults") for name in expiring] == [True]


def test_the_table_recovers_expires_and_is_kept(resources: Resources) -> None:
    (table,) = of_type(resources, TABLE)
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert table["DeletionPolicy"] == "Retain"


def test_the_function_ends_before_the_gateway_gives_up(resources: Resources) -> None:
    assert function_of(resources, API)["Timeout"] == 29
    # What waits for it must be told in time.
    assert function_of(resources, MEDIA)["Timeout"] < 29
    for function in of_type(resources, FUNCTION):
        assert function["Properties"]["Runtime"] == "python3.13"
        assert function["Properties"]["Architectures"] == ["x86_64"]
    for integration in of_type(resources, "AWS::ApiGatewayV2::Integration"):
        assert integration["Properties"].get("TimeoutInMillis", 30_000) > 29_000
        assert integration["Properties"]["PayloadFormatVersion"] == "2.0"


def test_the_handler_that_is_deployed_exists(resources: Resources) -> None:
    for function in of_type(resources, FUNCTION):
        module, _, name = function["Properties"]["Handler"].rpartition(".")
        assert module in loaded_by(f"from {module} import {name}")


def test_the_function_reads_what_the_stack_sets(resources: Resources) -> None:
    function = function_of(resources, API)
    environment = function["Environment"]["Variables"]
    read = {name: json.dumps(value) for name, value in environment.items()}
    for name in ("TRAWL_CACHE_MB", "TRAWL_RESULTS_DAYS", "TRAWL_MEDIA_MEMORY_MB"):
        read[name] = environment[name]
    settings = Settings.from_environment(read)
    assert "Table" in str(settings.table)
    assert "Results" in str(settings.results_bucket)
    assert settings.cache_mb * 2 <= function["MemorySize"]
    media = json.loads(str(settings.media_function))
    assert resources[media["Ref"]]["Properties"]["Handler"] == MEDIA
    assert resources[media["Ref"]]["Properties"]["MemorySize"] == settings.media_memory_mb


def test_every_function_runs_one_thread_of_numpys_own(resources: Resources) -> None:
    for function in of_type(resources, FUNCTION):
        environment = function["Properties"]["Environment"]["Variables"]
        assert environment["OPENBLAS_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "1"


def test_no_secret_stands_in_the_environment(template: dict[str, Any]) -> None:
    text = json.dumps(template)
    assert not re.search(r"AKIA[0-9A-Z]{16}|sk_[0-9a-f]{16}_|BEGIN [A-Z ]*PRIVATE KEY", text)
    for function in of_type(template["Resources"], FUNCTION):
        names = function["Properties"]["Environment"]["Variables"]
        suspicious = [n for n in names if re.search("SECRET|PASSWORD|TOKEN|_KEY", n)]
        assert suspicious == []


def test_roles_allow_named_actions_on_named_resources(resources: Resources) -> None:
    for statement in statements(resources):
        actions = as_list(statement["Action"])
        assert statement["Effect"] == "Allow"
        assert not [action for action in actions if "*" in action]
        if "*" in as_list(statement["Resource"]):
            assert set(actions) <= WITHOUT_RESOURCE


def test_wildcards_in_resources_are_objects_of_our_own_buckets(resources: Resources) -> None:
    for statement in statements(resources):
        for resource in as_list(statement["Resource"]):
            text = json.dumps(resource)
            if "*" not in text or resource == "*":
                continue
            head, tail = resource["Fn::Join"][1][0], resource["Fn::Join"][1][-1]
            if tail == ":s3:::an-owners-bucket/*":
                assert statement["Action"] == "s3:GetObject"
                continue
            if ":execution:trawl-test-jobs" in tail:
                assert set(as_list(statement["Action"])) <= EXECUTIONS
                continue
            assert tail in ("/*", "/*/jobs/*", "/*/ingest/*", "/media-in-flight/*")
            assert resources[head["Fn::GetAtt"][0]]["Type"] == BUCKETS


def test_the_media_function_may_write_its_logs_and_nothing_else(resources: Resources) -> None:
    function = function_of(resources, MEDIA)
    role = function["Role"]["Fn::GetAtt"][0]
    policies = [
        policy["Properties"]
        for policy in of_type(resources, "AWS::IAM::Policy")
        if {"Ref": role} in policy["Properties"]["Roles"]
    ]
    [statement] = [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    logs = function["LoggingConfig"]["LogGroup"]["Ref"]
    assert statement["Resource"] == {"Fn::GetAtt": [logs, "Arn"]}
    assert "Policies" not in resources[role]["Properties"]
    assert not [name for name in function["Environment"]["Variables"] if "TRAWL" in name]
    assert "TracingConfig" not in function
    assert "ReservedConcurrentExecutions" not in function


def test_the_api_may_invoke_the_media_function_alone(resources: Resources) -> None:
    allowed = statements_of(resources, function_of(resources, API)["Role"])
    [invoking] = [s for s in allowed if "lambda:" in json.dumps(s["Action"])]
    assert invoking["Action"] == "lambda:InvokeFunction"
    invoked = resources[invoking["Resource"]["Fn::GetAtt"][0]]
    assert invoked["Properties"]["Handler"] == MEDIA


def test_only_buckets_that_the_owner_names_are_read_beside_ours(resources: Resources) -> None:
    reading = [s for s in statements(resources) if "an-owners-bucket" in json.dumps(s)]
    actions = {action for s in reading for action in as_list(s["Action"])}
    assert actions == {"s3:GetObject", "s3:ListBucket"}


def test_references_are_never_written_by_the_api(resources: Resources) -> None:
    writes = [s for s in statements(resources) if "s3:PutObject" in as_list(s["Action"])]
    assert writes
    assert "Assets" not in json.dumps(writes)


def test_the_function_has_a_role_without_managed_policies(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role["Properties"]
        assert len(role["Properties"]["AssumeRolePolicyDocument"]["Statement"]) == 1


def test_every_log_group_has_a_retention(resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert all(group["Properties"]["RetentionInDays"] == 30 for group in groups)


def test_the_gateway_throttles_and_logs_no_secret(resources: Resources) -> None:
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage")
    properties = stage["Properties"]
    assert properties["DefaultRouteSettings"]["ThrottlingRateLimit"] == 50
    logged = properties["AccessLogSettings"]["Format"]
    assert json.loads(logged)["status"] == "$context.status"
    assert "header" not in logged.lower()
    assert "authorizer" not in logged


def test_outputs_tell_a_user_where_to_go(template: dict[str, Any]) -> None:
    outputs = template["Outputs"]
    assert {"ApiUrl", "TableName", "AssetsBucketName"} <= set(outputs)
    assert json.dumps(outputs["ApiUrl"]).rstrip('"]} ').endswith("/v1")


def test_nothing_is_looked_up_in_an_account(template_file: Path) -> None:
    manifest = json.loads((template_file.parent / "manifest.json").read_text())
    assert "missing" not in manifest
    assert "aws://unknown-account/unknown-region" in json.dumps(manifest)


def test_nag_finds_nothing_that_is_not_explained(template_file: Path) -> None:
    assert violations(template_file) == []


def test_cfn_lint_is_clean(template_file: Path) -> None:
    assert lint(template_file) == ""


def test_a_deployment_is_what_its_context_says(template_file: Path, tmp_path: Path) -> None:
    from infra.app import make_app

    context = {"bundle": "false", "retain": "false", "media_concurrency": "7"}
    make_app(context, outdir=str(tmp_path)).synth()
    template = json.loads((tmp_path / "trawl-dev.template.json").read_text())
    for resource in of_type(template["Resources"], BUCKETS):
        assert resource["DeletionPolicy"] == "Delete"
    (table,) = of_type(template["Resources"], TABLE)
    assert table["DeletionPolicy"] == "Delete"
    assert not table["Properties"].get("DeletionProtectionEnabled")
    media = function_of(template["Resources"], MEDIA)
    assert media["ReservedConcurrentExecutions"] == 7

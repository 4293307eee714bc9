"""The API's versions and its gateways, of either kind, read off the template."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.gateways import ALLOWED_HEADERS
from tests.infra.conftest import Resources, function_of, lint, of_type, synthesize, violations

API = "handlers.api.handler"
VERSION = "AWS::Lambda::Version"
DOMAIN = {
    "domain": "api.example.com",
    "certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b2c3d-0000-1111-2222-33",
    "hosted_zone_id": "Z0123456789ABC",
    "hosted_zone_name": "example.com",
}
ORIGINS = ["https://a.example", "https://b.example:8443"]
ON = {"cors_origins": ",".join(ORIGINS), **DOMAIN}


@pytest.fixture(scope="session")
def http_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HTTP API with all that it can have."""
    return synthesize(tmp_path_factory.mktemp("http"), snap_start="false", **ON)


@pytest.fixture(scope="session")
def rest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A REST API with all that it can have."""
    folder = tmp_path_factory.mktemp("rest")
    return synthesize(folder, api="rest", waf="true", alarm_email="who@example.com", **ON)


@pytest.fixture(scope="session")
def http(http_file: Path) -> Any:
    """The template with an HTTP API."""
    return json.loads(http_file.read_text())


@pytest.fixture(scope="session")
def rest(rest_file: Path) -> Any:
    """The template with a REST API."""
    return json.loads(rest_file.read_text())


def one(resources: Resources, kind: str) -> Any:
    """Return the properties of the only resource of a type."""
    [found] = of_type(resources, kind)
    return found["Properties"]


def alias_of(resources: Resources) -> str:
    """Return the logical id of the API's alias."""
    [name] = [n for n, r in resources.items() if r["Type"] == "AWS::Lambda::Alias"]
    return name


# --- versions ----------------------------------------------------------------------------------


def test_versions_start_from_a_snapshot(resources: Resources, http: Any) -> None:
    assert function_of(resources, API)["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert "SnapStart" not in function_of(http["Resources"], API)
    for function in of_type(resources, "AWS::Lambda::Function"):
        # It would keep SnapStart from working.
        assert "ProvisionedConcurrencyConfig" not in json.dumps(function)


def test_the_gateway_calls_the_alias_which_names_a_version(resources: Resources) -> None:
    alias = one(resources, "AWS::Lambda::Alias")
    assert alias["Name"] == "live"
    version = resources[alias["FunctionVersion"]["Fn::GetAtt"][0]]
    assert version["Type"] == VERSION
    assert version["Properties"]["FunctionName"] == alias["FunctionName"]
    integration = one(resources, "AWS::ApiGatewayV2::Integration")
    assert integration["IntegrationUri"] == {"Ref": alias_of(resources)}


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_only_the_gateway_may_call_and_only_the_alias(
    kind: str, request: pytest.FixtureRequest
) -> None:
    resources = request.getfixturevalue(kind)["Resources"]
    allowed = [
        p["Properties"]
        for p in of_type(resources, "AWS::Lambda::Permission")
        if p["Properties"]["Principal"] == "apigateway.amazonaws.com"
    ]
    assert allowed
    for permission in allowed:
        assert permission["FunctionName"] == {"Ref": alias_of(resources)}
        assert "SourceArn" in permission


def test_what_a_version_holds_names_it(resources: Resources, http: Any) -> None:
    """Else CloudFormation would see nothing to publish, and the alias would keep the old code."""
    versions = [
        {name for name, resource in template.items() if resource["Type"] == VERSION}
        for template in (resources, http["Resources"])
    ]
    assert not versions[0] & versions[1]


def test_versions_of_the_past_are_removed(resources: Resources) -> None:
    """Each is billed for its snapshot as long as it stays."""
    [version] = of_type(resources, VERSION)
    assert version.get("DeletionPolicy", "Delete") == "Delete"


# --- both gateways -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_every_variant_is_clean(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(f"{kind}_file")
    assert violations(path) == []
    assert lint(path) == ""


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_a_domain_leads_to_the_api(kind: str, request: pytest.FixtureRequest) -> None:
    template = request.getfixturevalue(kind)
    text = json.dumps(template)
    assert template["Outputs"]["ApiUrl"]["Value"] == "https://api.example.com/v1"
    assert "DomainTarget" in template["Outputs"]
    records = of_type(template["Resources"], "AWS::Route53::RecordSet")
    assert sorted(r["Properties"]["Type"] for r in records) == ["A", "AAAA"]
    assert {r["Properties"]["HostedZoneId"] for r in records} == {DOMAIN["hosted_zone_id"]}
    assert {r["Properties"]["Name"] for r in records} == {"api.example.com."}
    assert DOMAIN["certificate_arn"] in text
    assert '"SecurityPolicy": "TLS_1_2"' in text
    # By it a deployment is checked before its name leads there.
    assert "DisableExecuteApiEndpoint" not in text


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_every_log_group_has_an_end(kind: str, request: pytest.FixtureRequest) -> None:
    groups = of_type(request.getfixturevalue(kind)["Resources"], "AWS::Logs::LogGroup")
    assert all(group["Properties"]["RetentionInDays"] == 30 for group in groups)


def test_nothing_of_this_is_there_unless_asked_for(resources: Resources) -> None:
    kinds = {resource["Type"] for resource in resources.values()}
    assert "CorsConfiguration" not in one(resources, "AWS::ApiGatewayV2::Api")
    assert not {k for k in kinds if k.startswith(("AWS::WAF", "AWS::Route53", "AWS::ApiGateway:"))}
    assert "AWS::ApiGatewayV2::DomainName" not in kinds


# --- HTTP --------------------------------------------------------------------------------------


def test_an_http_api_answers_pages_of_these_origins_itself(http: Any) -> None:
    cors = one(http["Resources"], "AWS::ApiGatewayV2::Api")["CorsConfiguration"]
    assert cors["AllowOrigins"] == ORIGINS
    assert {"authorization", "content-type", "x-namespace"} <= set(cors["AllowHeaders"])
    assert set(cors["AllowHeaders"]) == set(ALLOWED_HEADERS)
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(cors["AllowMethods"])
    assert "AllowCredentials" not in cors
    # The function must not say it a second time: browsers refuse two.
    assert "TRAWL_CORS_ORIGINS" not in function_of(http["Resources"], API)["Environment"]


def test_a_mapping_waits_for_its_stage(http: Any) -> None:
    [mapping] = of_type(http["Resources"], "AWS::ApiGatewayV2::ApiMapping")
    waits = {http["Resources"][name]["Type"] for name in mapping["DependsOn"]}
    assert "AWS::ApiGatewayV2::Stage" in waits


# --- REST and its firewall ---------------------------------------------------------------------


def test_a_rest_api_gives_up_after_its_function(rest: Any) -> None:
    methods = of_type(rest["Resources"], "AWS::ApiGateway::Method")
    waits = {m["Properties"]["Integration"]["TimeoutInMillis"] for m in methods}
    assert waits == {29_000}
    assert function_of(rest["Resources"], API)["Timeout"] == 28


def test_a_rest_api_throttles_logs_and_traces(rest: Any) -> None:
    stage = one(rest["Resources"], "AWS::ApiGateway::Stage")
    [settings] = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (50, 100)
    assert not settings.get("DataTraceEnabled")
    assert stage["TracingEnabled"] is True
    logged = stage["AccessLogSetting"]["Format"]
    assert json.loads(logged)["status"] == "$context.status"
    assert "header" not in logged.lower()


def test_a_rest_api_lets_bytes_and_refusals_through(rest: Any) -> None:
    api = one(rest["Resources"], "AWS::ApiGateway::RestApi")
    assert api["BinaryMediaTypes"] == ["*/*"]
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    environment = function_of(rest["Resources"], API)["Environment"]["Variables"]
    assert environment["TRAWL_CORS_ORIGINS"].split(",") == ORIGINS
    responses = of_type(rest["Resources"], "AWS::ApiGateway::GatewayResponse")
    kinds = {r["Properties"]["ResponseType"] for r in responses}
    assert kinds == {"DEFAULT_4XX", "DEFAULT_5XX"}
    for response in responses:
        [name] = response["Properties"]["ResponseParameters"]
        assert name == "gatewayresponse.header.Access-Control-Allow-Origin"


def test_a_firewall_lies_before_the_stage(rest: Any) -> None:
    resources = rest["Resources"]
    association = one(resources, "AWS::WAFv2::WebACLAssociation")
    parts = association["ResourceArn"]["Fn::Join"][1]
    [stage] = [part["Ref"] for part in parts if "RestApiDeploymentStage" in json.dumps(part)]
    assert resources[stage]["Type"] == "AWS::ApiGateway::Stage"
    assert one(resources, "AWS::WAFv2::WebACL")["Scope"] == "REGIONAL"


def test_a_firewall_never_refuses_a_batch_for_its_body(rest: Any) -> None:
    rules = {r["Name"]: r for r in one(rest["Resources"], "AWS::WAFv2::WebACL")["Rules"]}
    common = rules["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]
    counted = {o["Name"] for o in common["RuleActionOverrides"] if "Count" in o["ActionToUse"]}
    assert "SizeRestrictions_BODY" in counted
    # All rules of the set that look into bodies.
    assert len([name for name in counted if name.endswith("_BODY")]) == 5
    rate = rules["RatePerAddress"]
    assert rate["Statement"]["RateBasedStatement"]["Limit"] == 2000
    assert rate["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert rate["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429


def test_a_firewall_keeps_no_sample_of_a_callers_key(rest: Any) -> None:
    assert '"SampledRequestsEnabled": true' not in json.dumps(rest)
    assert "AWS::WAFv2::LoggingConfiguration" not in json.dumps(rest)


# --- alarms ------------------------------------------------------------------------------------


def test_alarms_are_sent_to_the_address_that_is_given(rest: Any) -> None:
    subscription = one(rest["Resources"], "AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "who@example.com")


def test_alarms_watch_the_gateway_that_is_there(rest: Any) -> None:
    watched = {
        alarm["Properties"]["MetricName"]: alarm["Properties"]
        for alarm in of_type(rest["Resources"], "AWS::CloudWatch::Alarm")
        if alarm["Properties"]["Namespace"] == "AWS/ApiGateway"
    }
    assert set(watched) == {"5XXError", "Latency"}
    dimensions = {d["Name"]: d["Value"] for d in watched["5XXError"]["Dimensions"]}
    stage = one(rest["Resources"], "AWS::ApiGateway::Stage")["StageName"]
    assert dimensions == {"ApiName": "trawl-test", "Stage": stage}

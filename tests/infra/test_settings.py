"""A deployment's context: what is read, and what is refused before CloudFormation would."""

from typing import Any

import pytest

from infra.settings import ContextError, InfraSettings


class Context:
    """Context as a construct's node gives it."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def try_get_context(self, key: str) -> Any:
        """Return the value, None if there is none."""
        return self._values.get(key)


def test_no_context_gives_the_defaults() -> None:
    assert InfraSettings.from_context(Context()) == InfraSettings()


def test_the_command_lines_strings_are_read_by_type() -> None:
    context = Context(stage="prod", memory_mb="1769", retain="false", bundle="0", log_days="7")
    assert InfraSettings.from_context(context) == InfraSettings(
        stage="prod", memory_mb=1769, retain=False, bundle=False, log_days=7
    )


def test_cdk_jsons_values_are_read_too() -> None:
    context = Context(memory_mb=1769, retain=False)
    assert InfraSettings.from_context(context) == InfraSettings(memory_mb=1769, retain=False)


def test_buckets_are_read_by_name() -> None:
    assert InfraSettings(read_buckets="one-a, two.b").bucket_names == ("one-a", "two.b")
    assert InfraSettings().bucket_names == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", "Prod_1"),
        ("stage", ""),
        ("python", "3.9"),
        ("memory_mb", "lots"),
        ("memory_mb", "64"),
        ("log_days", "31"),
        ("results_days", "0"),
        ("retain", "maybe"),
        ("rate", "-1"),
        ("burst", "0"),
        ("media_memory_mb", "64"),
        ("media_concurrency", "-1"),
        ("job_concurrency", "0"),
        ("read_buckets", "good-bucket, Bad_Bucket"),
        ("read_buckets", "*"),
        ("wheels", "2.7"),
        ("snap_start", "perhaps"),
        ("api", "soap"),
        ("cors_origins", "a.example"),
        ("cors_origins", "https://a.example/page"),
        ("cors_origins", "https://*.example"),
        ("certificate_arn", "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b"),
        ("waf", "true"),  # an HTTP API takes none
        ("waf_rate", "1"),
        ("alarm_email", "nobody"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ContextError, match=f"context {name}="):
        InfraSettings.from_context(Context(**{name: value}))


CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b"


def test_a_domain_with_its_certificate_and_zone_is_read() -> None:
    context = Context(
        domain="api.example.com",
        certificate_arn=CERTIFICATE,
        hosted_zone_id="Z123",
        hosted_zone_name="example.com",
    )
    assert InfraSettings.from_context(context).domain == "api.example.com"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("certificate_arn", {"domain": "api.example.com"}),
        ("domain", {"domain": "API.example.com/v1", "certificate_arn": CERTIFICATE}),
        ("hosted_zone_id", {"hosted_zone_id": "Z123", "hosted_zone_name": "example.com"}),
        ("hosted_zone_name", {"hosted_zone_id": "Z123"}),
        ("hosted_zone_name", {"hosted_zone_id": "Z123", "hosted_zone_name": "ample.com"}),
    ],
)
def test_a_domain_that_does_not_fit_together_is_named(name: str, values: dict[str, str]) -> None:
    whole = {"domain": "api.example.com", "certificate_arn": CERTIFICATE}
    given = values if name in ("certificate_arn", "hosted_zone_id") else whole | values
    with pytest.raises(ContextError, match=f"context {name}="):
        InfraSettings.from_context(Context(**given))


def test_a_domain_needs_no_zone_of_ours() -> None:
    context = Context(domain="api.example.com", certificate_arn=CERTIFICATE)
    assert InfraSettings.from_context(context).domain == "api.example.com"


def test_a_firewall_goes_before_a_rest_api() -> None:
    assert InfraSettings.from_context(Context(api="rest", waf="true")).waf


def test_origins_are_read_by_name() -> None:
    context = Context(cors_origins="https://a.example, http://localhost:3000")
    assert InfraSettings.from_context(context).origins == (
        "https://a.example",
        "http://localhost:3000",
    )

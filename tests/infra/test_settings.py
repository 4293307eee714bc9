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
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ContextError, match=f"context {name}="):
        InfraSettings.from_context(Context(**{name: value}))

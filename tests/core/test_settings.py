"""Settings: what the environment may say, and how it is told when it is wrong."""

from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from core.settings import Settings, SettingsError, variable_of, variables

AWS = {
    "TRAWL_TABLE": "t",
    "TRAWL_ASSETS_BUCKET": "a",
    "TRAWL_INDEX_BUCKET": "i",
    "TRAWL_RESULTS_BUCKET": "r",
}


def test_nothing_set_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.spill_bytes, settings.presign_s, settings.threads) == (4_500_000, 3600, None)


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            **AWS,
            "TRAWL_MEDIA_FUNCTION": "m",
            "TRAWL_JOB_STATE_MACHINE": "s",
            "TRAWL_THREADS": "3",
            "TRAWL_CACHE_MB": "77",
            "TRAWL_SPILL_BYTES": "2000",
            "TRAWL_PRESIGN_S": "60",
            "TRAWL_DEADLINE_RESERVE_MS": "0",
            "TRAWL_FETCH_MAX_MB": "5",
            "TRAWL_FETCH_TIMEOUT_S": "2",
            "TRAWL_ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8",
        }
    )
    assert settings == Settings(
        table="t",
        assets_bucket="a",
        index_bucket="i",
        results_bucket="r",
        media_function="m",
        job_state_machine="s",
        threads=3,
        cache_mb=77,
        spill_bytes=2000,
        presign_s=60,
        deadline_reserve_ms=0,
        fetch_max_mb=5,
        fetch_timeout_s=2,
        allowed_networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
    )


def test_names_are_ours_and_distinct() -> None:
    names = [variable_of(item.name) for item in fields(Settings)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("TRAWL_") for name in names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRAWL_THREADS", "0"),
        ("TRAWL_THREADS", "many"),
        ("TRAWL_SPILL_BYTES", "-1"),
        ("TRAWL_PRESIGN_S", "604801"),
        ("TRAWL_CACHE_MB", "1.5"),
        ("TRAWL_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("TRAWL_ALLOWED_NETWORKS", "intranet"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    assert name in caught.value.message
    assert value in caught.value.message


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"TRAWL_THREADS.*TRAWL_PRESIGN_S"):
        Settings.from_environment({"TRAWL_THREADS": "x", "TRAWL_PRESIGN_S": "y"})


def test_an_empty_value_is_not_set() -> None:
    assert Settings.from_environment({"TRAWL_THREADS": " ", "TRAWL_TABLE": ""}) == Settings()


def test_half_a_deployment_is_refused() -> None:
    with pytest.raises(SettingsError, match="TRAWL_RESULTS_BUCKET not set"):
        Settings.from_environment({k: v for k, v in AWS.items() if k != "TRAWL_RESULTS_BUCKET"})


def test_a_media_function_belongs_to_a_deployment() -> None:
    with pytest.raises(SettingsError, match="TRAWL_MEDIA_FUNCTION is set without TRAWL_TABLE"):
        Settings.from_environment({"TRAWL_MEDIA_FUNCTION": "m", "TRAWL_DATA_DIR": "/data"})


def test_functions_of_extras_belong_to_a_deployment() -> None:
    with pytest.raises(SettingsError, match="TRAWL_MEDIA_EXTRAS is set without TRAWL_TABLE"):
        Settings.from_environment({"TRAWL_MEDIA_EXTRAS": "logo=f"})
    settings = Settings.from_environment({**AWS, "TRAWL_MEDIA_EXTRAS": "logo=f-Logo,onnx=f-Onnx"})
    assert settings.media_extras == (("logo", "f-Logo"), ("onnx", "f-Onnx"))


def test_a_laptop_and_a_deployment_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="TRAWL_DATA_DIR and TRAWL_TABLE"):
        Settings.from_environment({**AWS, "TRAWL_DATA_DIR": "/data"})


def test_local_ignores_a_deployments_names() -> None:
    names = {**AWS, "TRAWL_MEDIA_FUNCTION": "m", "TRAWL_MEDIA_EXTRAS": "logo=f"}
    settings = Settings.local(Path("/data"), {**names, "TRAWL_THREADS": "2"})
    assert settings == Settings(data_dir=Path("/data"), threads=2)


def test_variables_round_trip() -> None:
    environment = variables(
        table="t", assets_bucket="a", index_bucket="i", results_bucket="r", cache_mb=9
    )
    assert environment == {**AWS, "TRAWL_CACHE_MB": "9"}
    assert Settings.from_environment(environment).cache_mb == 9


def test_an_unknown_setting_cannot_be_deployed() -> None:
    with pytest.raises(KeyError):
        variables(tabel="t")

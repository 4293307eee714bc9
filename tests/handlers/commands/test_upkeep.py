"""`trawl upkeep`, and the function that does the same by the hour."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from core.app import build_app
from core.catalog.upkeep import CollectionUpkeep, UpkeepReport
from core.models.namespaces import StandaloneNamespaceCreate
from core.settings import Settings
from handlers import upkeep
from handlers.cli import main
from tests.core.storage.doubles import doc


def run(data: Path, *words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["upkeep", "--data", str(data), *words])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one collection, in whose index lies what nobody names."""
    app = build_app(Settings.local(tmp_path, {}))
    namespace = app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))
    place = (namespace.namespace_id, namespace.default_collection_id)
    app.store.upsert(*place, [doc("a", [1.0, 2.0])])
    [named] = [info.key for info in app.buckets.bucket("index").list("space/")]
    orphan = f"{named.rpartition('/')[0]}/{0:012x}{'0' * 16}.seg"
    app.buckets.bucket("index").put(orphan, b"left behind")
    app.close()
    return tmp_path


def test_what_a_crash_left_is_swept_and_told(data: Path) -> None:
    said = run(data).stdout
    assert "1 collections: 0 merged, 1 segments swept" in said
    assert "default" in said
    told = json.loads(run(data, "--json").stdout)
    assert (told["swept"], told["details"], told["unreached"]) == (0, [], 0)


def test_what_was_deleted_is_erased_from_every_file(tmp_path: Path) -> None:
    vector = np.array([0.123, 4.567], np.float32)

    def files_with_it() -> int:
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        return sum(vector.tobytes() in path.read_bytes() for path in found)

    app = build_app(Settings.local(tmp_path, {}))
    namespace = app.namespaces.create(StandaloneNamespaceCreate(namespace_id="space"))
    place = (namespace.namespace_id, namespace.default_collection_id)
    app.store.upsert(*place, [doc("kept", [1.0, 2.0]), doc("gone", vector.tolist())])
    app.store.delete(*place, ["gone"])
    app.close()
    run(tmp_path)
    assert files_with_it() == 1
    assert "1 collections: 1 merged" in run(tmp_path, "--erase").stdout
    assert files_with_it() == 0


def test_it_is_no_work_of_a_servers(data: Path) -> None:
    result = CliRunner().invoke(
        main, ["upkeep", "--api", "http://127.0.0.1:1", "--key", "sk_x"], env={}
    )
    assert result.exit_code == 2


def _report(**changes: Any) -> UpkeepReport:
    return UpkeepReport(**{"collections": (), "unreached": 0, "purged": 0, **changes})


@pytest.mark.parametrize(
    "report",
    [
        _report(collections=(CollectionUpkeep("space", "logos", error="torn\x1b[2J"),)),
        _report(faults=("listing the collections: no answer",)),
    ],
)
def test_a_failure_is_the_commands_too(
    data: Path, report: UpkeepReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.catalog.upkeep.Upkeep.run", lambda self, **_: report)
    result = run(data, status=1)
    assert "\x1b" not in result.output
    assert "torn" in result.output or "no answer" in result.output


def test_the_function_reports_all_and_leaves_time_to_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[float] = []

    def go_round(*, deadline: Any) -> UpkeepReport:
        seen.append(deadline.remaining())
        failed = CollectionUpkeep("space", "logos", error="torn")
        return _report(collections=(failed,), unreached=3)

    app = SimpleNamespace(upkeep=SimpleNamespace(run=go_round))
    monkeypatch.setattr(upkeep, "deployed_app", lambda: app)
    context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 900_000)
    answer = upkeep.handler({}, context)
    assert (answer["failed"], answer["unreached"]) == (1, 3)
    assert answer["details"][0]["error"] == "torn"
    assert 600 < seen[0] < 640
    sent = capsys.readouterr().out
    # Each name that is sent costs: what is zero is left out.
    assert '"UpkeepFailures":[1.0]' in sent
    assert '"UpkeepUnreached":[3.0]' in sent
    assert "SegmentsSwept" not in sent

"""Loads that are stopped, refused or overtaken: nothing is lost, and nothing is loaded twice."""

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from core.app import build_app
from core.settings import Settings
from handlers.client import AppTransport, Client, Reply, Transport
from handlers.client_errors import ApiError, UnreachableError
from handlers.loading import ensure_place, find_files, load_files
from tests.handlers.commands.command_line import write_pictures
from tests.handlers.transports import ScriptedTransport, Sent


class Flaky(ScriptedTransport):
    """Passes requests on; the upserts that `refuse` picks are answered with a status, or lost."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.upserts = 0
        self.lose_from: int | None = None
        self.largest: int | None = None
        self.refused: bytes | None = None

    def answer(self, sent: Sent) -> Reply | None:
        if sent.path.endswith("/upsert"):
            count = len(orjson.loads(sent.body)["documents"])
            self.upserts += 1
            if self.lose_from is not None and self.upserts >= self.lose_from:
                raise UnreachableError("the server is gone")
            if self.largest is not None and count > self.largest:
                return Reply(413, {}, b"too large")
            if self.refused is not None and self.refused in sent.body:
                return Reply(422, {}, b'{"error": {"message": "refused"}}')
        return None


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[Flaky]:
    transport = Flaky(AppTransport(build_app(Settings.local(tmp_path / "data", {}))))
    yield transport
    transport.close()


@pytest.fixture
def client(flaky: Flaky) -> Client:
    return Client(flaky, namespace="default", sleep=lambda _seconds: None)


def count(client: Client) -> int:
    found: int = client.call("GET", "/v1/collections/photos")["document_count"]
    return found


def place(client: Client) -> dict[str, object]:
    return ensure_place(client, "photos", "image.pdq", say=lambda _text: None)


def test_a_load_that_is_cut_off_goes_on_where_it_was(
    client: Client, flaky: Flaky, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "photos", 70)  # more than two requests' worth
    files = find_files(tmp_path / "photos")
    where = place(client)
    flaky.lose_from = 2
    with pytest.raises(UnreachableError):
        load_files(client, where, files)
    flaky.lose_from = None
    kept = count(client)
    assert 0 < kept < 70
    report = load_files(client, where, files)
    assert (report.loaded, report.skipped) == (70 - kept, kept)
    assert count(client) == 70


def test_where_less_fits_files_go_one_by_one(client: Client, flaky: Flaky, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 5)
    flaky.largest = 1
    report = load_files(client, place(client), find_files(tmp_path / "photos"))
    assert (report.loaded, report.failed) == (5, [])


def test_a_file_that_is_refused_costs_only_itself(
    client: Client, flaky: Flaky, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "photos", 4)
    flaky.refused = b'"path":"2.png"'
    report = load_files(client, place(client), find_files(tmp_path / "photos"))
    assert report.loaded == 3
    assert [problem.to_json() for problem in report.failed] == [
        {"file": "2.png", "reason": "refused"}
    ]


def test_progress_counts_every_file_once(client: Client, flaky: Flaky, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)
    (tmp_path / "photos" / "bad.png").write_text("bad")
    steps: list[int] = []
    files = find_files(tmp_path / "photos")
    load_files(client, place(client), files, advance=steps.append)
    assert sum(steps) == 4
    steps.clear()
    load_files(client, place(client), files, advance=steps.append)
    assert sum(steps) == 4


def test_what_is_no_file_is_left_alone(tmp_path: Path, client: Client) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, 1)
    os.mkfifo(folder / "pipe.png")  # reading it would wait for ever
    (folder / "circle").symlink_to(folder)
    (folder / ".git").mkdir()
    (folder / ".git" / "x.png").write_text("hidden")
    names = [file.name for file in find_files(folder)]
    assert names == ["0.png", "pipe.png"]
    report = load_files(client, place(client), find_files(folder))
    assert [problem.reason for problem in report.failed] == ["not a regular file"]


def test_a_file_larger_than_any_request_is_not_read(tmp_path: Path, client: Client) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with (folder / "huge.png").open("wb") as file:
        file.truncate(1 << 40)
    report = load_files(client, place(client), find_files(folder))
    assert [problem.reason for problem in report.failed] == ["larger than 45 MB"]


def test_two_loads_at_once_make_one_place(client: Client) -> None:
    first = place(client)
    assert place(client)["collection_id"] == first["collection_id"]
    with pytest.raises(ApiError, match="of none") as caught:
        client.call("POST", "/v1/collections", {"collection_name": "bare"})
        ensure_place(client, "bare", "image.pdq", say=lambda _text: None)
    assert caught.value.status == 409

"""Loads that are repeated, changed or interrupted: only what changed is sent, and nothing twice."""

import os
import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

import handlers.loading
from core.app import App, build_app
from core.settings import Settings
from handlers.client import AppTransport, Client, Reply, Transport
from handlers.client_errors import ApiError
from handlers.load_manifests import read_manifest
from handlers.load_report import LoadReport, Problem, group_problems
from handlers.load_sources import AnyFile, RemoteFile, find_files, local_file, objects_below
from handlers.loading import ensure_place, load_files
from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import write_pictures
from tests.handlers.transports import ScriptedTransport, Sent


class Watched(ScriptedTransport):
    """Counts what is sent; `on_upsert` is called before each upsert is passed on."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.sent = 0
        self.on_upsert: Callable[[], object] = lambda: None
        self.deletes = 200  # what a deletion is answered with, if it is not passed on

    def answer(self, sent: Sent) -> Reply | None:
        if sent.method == "DELETE" and self.deletes != 200:
            return Reply(self.deletes, {}, b'{"error": {"message": "no"}}')
        if sent.path.endswith("/upsert"):
            self.sent += len(orjson.loads(sent.body)["documents"])
            self.on_upsert()
        return None


@pytest.fixture
def app(tmp_path: Path) -> App:
    return build_app(Settings.local(tmp_path / "data", {}))


@pytest.fixture
def watched(app: App) -> Iterator[Watched]:
    transport = Watched(AppTransport(app))
    yield transport
    transport.close()


@pytest.fixture
def client(watched: Watched) -> Client:
    return Client(watched, namespace="default", sleep=lambda _seconds: None)


def load(client: Client, files: Sequence[AnyFile]) -> LoadReport:
    where = ensure_place(client, "photos", "image.pdq", say=lambda _text: None)
    return load_files(client, where, files)


def manifest(folder: Path, *lines: Any) -> list[AnyFile]:
    path = folder / "refs.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return read_manifest(path).files


def get(client: Client, document_id: str) -> Any:
    return client.call("GET", f"/v1/collections/photos/documents/{document_id}")


def test_fields_alone_change_without_the_file(
    client: Client, watched: Watched, tmp_path: Path
) -> None:
    write_pictures(tmp_path, 2)
    first = manifest(
        tmp_path,
        {"path": "0.png", "id": "one", "artist": "x", "old": 1, "tags": ["a"]},
        {"path": "1.png", "id": "two"},
    )
    assert load(client, first).loaded == 2
    assert load(client, first).skipped == 2
    watched.sent = 0
    changed = manifest(
        tmp_path,
        {"path": "0.png", "id": "one", "artist": "y", "old": None, "tags": ["b"]},
        {"path": "1.png", "id": "two"},
    )
    report = load(client, changed)
    assert (report.updated, report.skipped, report.loaded, watched.sent) == (1, 1, 0, 0)
    found = get(client, "one")
    assert (found["artist"], found["tags"], "old" in found) == ("y", ["b"], False)
    assert load(client, changed).skipped == 2


def test_an_object_among_the_fields_is_replaced_whole(client: Client, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    for value in ({"a": 1}, {"b": None}):
        lines = manifest(tmp_path, {"path": "0.png", "id": "one", "metadata": {"rights": value}})
        assert load(client, lines).loaded == 1
        assert get(client, "one")["rights"] == value
        assert load(client, lines).skipped == 1


def test_an_id_stays_when_content_or_place_change(client: Client, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    load(client, manifest(tmp_path, {"path": "0.png", "id": "one"}))
    (tmp_path / "0.png").rename(tmp_path / "moved.png")
    moved = manifest(tmp_path, {"path": "moved.png", "id": "one"})
    assert load(client, moved).updated == 1
    assert get(client, "one")["path"] == "moved.png"
    before = get(client, "one")["sha256"]
    (tmp_path / "moved.png").write_bytes(encode(landscape(9), "PNG"))
    assert load(client, moved).loaded == 1
    assert get(client, "one")["sha256"] != before
    assert client.call("GET", "/v1/collections/photos")["document_count"] == 1


def plain_picture() -> bytes:
    """Return a picture in which nothing can be compared."""
    return encode(landscape(1).resize((4, 4)).resize((64, 64), 0), "PNG")


def test_what_was_loaded_before_as_the_same_id_stays(client: Client, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    line = {"path": "0.png", "id": "one"}
    load(client, manifest(tmp_path, line))
    before = get(client, "one")
    (tmp_path / "0.png").write_bytes(plain_picture())
    for _ in range(2):
        [problem] = load(client, manifest(tmp_path, line)).failed
        assert "what was stored before as one stays" in problem.reason
        assert get(client, "one") == before


class Uploading(ScriptedTransport):
    """Asks for nothing of what is uploaded, as others than the loader do."""

    def answer(self, sent: Sent) -> Reply | None:
        if not sent.path.endswith("/upsert") or self.inner is None:
            return None
        body = orjson.dumps({**orjson.loads(sent.body), "options": {}})
        return self.inner.send(sent.method, sent.path, sent.query, sent.headers, body)


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_what_is_stored_with_nothing_to_compare_is_taken_out(
    client: Client, watched: Watched, tmp_path: Path, status: int
) -> None:
    write_pictures(tmp_path, 1)
    (tmp_path / "plain.png").write_bytes(plain_picture())
    uploading = Client(Uploading(watched), namespace="default")
    assert load(uploading, find_files(tmp_path)).loaded == 2
    assert client.call("GET", "/v1/collections/photos")["document_count"] == 2
    watched.deletes = status
    if status == 500:  # as if it was killed between the two steps
        with pytest.raises(ApiError):
            load(client, find_files(tmp_path))
    else:
        report = load(client, find_files(tmp_path))
        [problem] = report.failed
        assert (report.skipped, problem.name) == (1, "plain.png")
        assert ("may not delete" in problem.reason) == (status == 403)
    watched.deletes = 200
    assert [one.name for one in load(client, find_files(tmp_path)).failed] == ["plain.png"]
    assert client.call("GET", "/v1/collections/photos")["document_count"] == 1


def test_a_file_named_twice_is_loaded_once(client: Client, tmp_path: Path) -> None:
    [path] = write_pictures(tmp_path, 1)
    again = local_file(path, Path("0.png"), chosen=True)
    report = load(client, [*find_files(tmp_path), again])
    assert (report.loaded, report.skipped) == (1, 1)


def test_a_line_whose_file_is_missing_names_the_line(client: Client, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    (tmp_path / "song.mp3").write_bytes(b"ID3\x04" + bytes(20))
    os.mkfifo(tmp_path / "pipe")
    lines = [{"path": name} for name in ("gone.png", "0.png", ".", "pipe", "song.mp3", "a" * 300)]
    report = load(client, manifest(tmp_path, *lines))
    assert report.loaded == 1
    assert [problem.reason for problem in report.failed] == [
        "No such file or directory (refs.jsonl:1)",
        "not a regular file (refs.jsonl:3)",
        "not a regular file (refs.jsonl:4)",
        "File name too long (refs.jsonl:6)",
    ]
    assert [problem.reason for problem in report.other_kinds] == [
        "not a picture (audio/mpeg) (refs.jsonl:5)"
    ]


def test_objects_are_sent_by_their_address(client: Client, app: App, tmp_path: Path) -> None:
    load(client, [])  # makes the namespace
    found = client.call("GET", "/v1/namespaces/default")["namespace_id"]
    bucket = app.buckets.bucket("assets")
    for n in range(2):
        bucket.put(f"{found}/refs/{n}.png", encode(landscape(n + 1), "PNG"))
    bucket.put("elsewhere/refs/x.png", encode(landscape(3), "PNG"))

    def listed() -> list[AnyFile]:
        objects = [(o.key, o.size, o.etag) for o in bucket.list(f"{found}/refs/")]
        objects += [(o.key, o.size, o.etag) for o in bucket.list("elsewhere/")]
        return objects_below("assets", "", objects, ()).files

    report = load(client, listed())
    assert report.loaded == 2
    assert "outside this namespace" in report.failed[0].reason
    assert load(client, listed()).skipped == 2
    bucket.put(f"{found}/refs/0.png", encode(landscape(7), "PNG"))
    assert load(client, listed()).loaded == 1
    lines: list[AnyFile] = [
        RemoteFile("x", f"s3://assets/{found}/refs/1.png", document_id="mine", fields={"a": 1})
    ]
    assert load(client, lines).loaded == 1
    assert load(client, lines).skipped == 1


def test_ctrl_c_ends_after_what_is_under_way(
    client: Client, watched: Watched, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "photos", 40)
    files: list[AnyFile] = [*find_files(tmp_path / "photos")]
    main, once = threading.main_thread().ident, threading.Lock()
    assert main is not None

    def interrupt() -> None:
        if once.acquire(blocking=False):
            signal.pthread_kill(main, signal.SIGINT)

    watched.on_upsert = interrupt
    report = load(client, files)
    assert report.stopped
    assert report.failed == []
    left = 40 - report.loaded
    again = load(client, files)
    assert (again.loaded, again.skipped, again.stopped) == (left, report.loaded, False)


def test_a_second_ctrl_c_is_not_waited_out(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "photos", 2)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(handlers.loading, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(client, [*find_files(tmp_path / "photos")])


class Silent(ScriptedTransport):
    """A service that holds nothing, and stores whatever it is sent."""

    def answer(self, sent: Sent) -> Reply:
        asked = orjson.loads(sent.body)
        answer: dict[str, Any] = {"documents": [], "not_found": asked.get("document_ids")}
        if sent.path.endswith("/upsert"):
            answer = {"failed": [], "unsearchable_document_ids": [], "warnings": []}
        return Reply(200, {}, orjson.dumps(answer))


def test_ten_thousand_files_are_not_held_at_once(tmp_path: Path) -> None:
    data = encode(landscape(1), "PNG")[:100] + bytes(20_000)
    for n in range(100):
        (tmp_path / f"{n}.png").write_bytes(data)
    files = [local_file(tmp_path / f"{n % 100}.png", Path(f"{n}.png")) for n in range(10_000)]
    place: Any = {
        "collection_id": "c",
        "namespace_id": "n",
        "feature_extractor": {"feature_extractor_name": "image.pdq"},
    }
    tracemalloc.start()
    try:
        report = load_files(Client(Silent()), place, files)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.loaded == 10_000
    assert peak < 60_000_000  # 200 MB of files


def test_reasons_are_grouped_with_the_most_frequent_first() -> None:
    problems = [Problem("a", "x"), Problem("b", "y"), Problem("c", "y")]
    assert group_problems(problems) == [("y", ["b", "c"]), ("x", ["a"])]

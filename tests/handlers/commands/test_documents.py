"""Documents listed and deleted from the command line, as a scan's own words say."""

import base64
import re
import shlex
from pathlib import Path

import pytest

from core.app import App, build_app
from core.deadline import NEVER
from core.models.base import parse_model
from core.models.documents import UpsertRequest
from core.settings import Settings
from handlers.client import AppTransport, Client
from handlers.commands import documents
from handlers.stored_documents import stored_documents
from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever, write_pictures


def test_what_a_collection_holds_is_listed(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    found = trawl.json("documents", "list", "photos")
    assert [one["document_id"] for one in found] == sorted(one["document_id"] for one in found)
    assert {one["path"] for one in found} == {"0.png", "1.png", "2.png", "sub/3.png"}
    assert all(one["comparable"] for one in found)
    lines = trawl.run("documents", "list", "photos").stdout.splitlines()
    assert lines[0].split() == ["id", "path", "comparable"]
    assert [found[0]["document_id"], found[0]["path"], "yes"] == lines[1].split()
    assert "nowhere" in trawl.run("documents", "list", "nowhere", status=1).stderr


def test_documents_are_deleted_and_what_was_not_there_is_said(
    trawl: Trawl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_DELETED", 2)
    load_folder(trawl, folder)
    ids = [one["document_id"] for one in trawl.json("documents", "list", "photos")]
    shown = trawl.run("documents", "delete", "photos", *ids[:3], "gone\x9b", status=1)
    assert shown.stdout == "deleted 3 of 4 documents\n"
    assert "not there: gone" in shown.stderr
    assert "\x9b" not in shown.stderr
    assert [one["document_id"] for one in trawl.json("documents", "list", "photos")] == ids[3:]
    deleted = trawl.json("documents", "delete", "photos", ids[3])
    assert deleted == [{"document_id": ids[3], "success": True}]
    assert trawl.json("documents", "list", "photos") == []
    trawl.run("documents", "delete", "photos", status=2)


def test_more_than_a_page_is_listed(tmp_path: Path) -> None:
    app: App = build_app(Settings.local(tmp_path, {}))
    client = Client(AppTransport(app), namespace="default")
    try:
        client.call("POST", "/v1/namespaces", {"namespace_name": "default"})
        client.call("POST", "/v1/collections", {"collection_name": "bare"})
        names = [f"d{n:02}" for n in range(11)]
        body = {"collection_id": "bare", "documents": [{"document_id": one} for one in names]}
        client.call("POST", "/v1/namespaces/default/documents/upsert", body)
        found = list(stored_documents(client, "bare", limit=5))
    finally:
        client.close()
    assert [one["document_id"] for one in found] == names


def test_the_command_that_a_scan_names_makes_clear_possible_again(
    tmp_path: Path, folder: Path
) -> None:
    trawl = Trawl(["--data", str(tmp_path / "data")])
    load_folder(trawl, folder)
    make_retriever(trawl)
    (tmp_path / "new").mkdir()
    [stranger] = write_pictures(tmp_path / "new", 1, first=7)
    plain = encode(landscape(1).resize((4, 4)).resize((64, 64), 0), "PNG")
    upload(tmp_path / "data", "file 1", plain)
    listed = {one["path"]: one for one in trawl.json("documents", "list", "photos")}
    assert listed["Gulp.png"]["comparable"] is False
    scan = ("scan", str(stranger), "--retriever", "copies")
    [file] = trawl.json(*scan, status=1)["files"]
    [reason] = file["reasons"]
    assert "'Gulp.png' as 'file 1'" in reason["message"]
    [command] = re.findall(r"\(trawl (documents delete .*?)\)", reason["message"])
    trawl.run(*shlex.split(command))
    assert trawl.json(*scan)["files"][0]["verdict"] == "clear"
    # And what the loader is given does not come in again.
    (folder / "Gulp.png").write_bytes(plain)
    assert load_folder(trawl, folder, status=1)["failed"][0]["file"] == "Gulp.png"
    assert trawl.json(*scan)["files"][0]["verdict"] == "clear"


def upload(data: Path, document_id: str, content: bytes) -> None:
    """Store a picture as the API does, whatever can be compared of it."""
    app = build_app(Settings.local(data, {}))
    try:
        url = "data:image/png;base64," + base64.b64encode(content).decode()
        document = {"document_id": document_id, "content": url, "payload": {"path": "Gulp.png"}}
        body = {"collection_id": "photos", "documents": [document]}
        [namespace] = app.namespaces.all()
        request = parse_model(UpsertRequest, body)
        app.documents.upsert(namespace, request, deadline=NEVER)
    finally:
        app.close()

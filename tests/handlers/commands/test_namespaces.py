"""Namespaces from the command line: what is listed, to whom, and where uploads go."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from core.app import build_app
from core.ingest.keys import ReferenceFile, read_key
from core.models.namespaces import StandaloneNamespaceCreate
from core.settings import Settings
from handlers.commands import namespaces
from tests.handlers.commands.command_line import Trawl, load_folder
from tests.handlers.test_cli import make_table
from tests.servers import Server


def test_a_namespace_is_listed_with_what_is_in_it(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    name = trawl.place[1] if trawl.place else "default"
    listed = trawl.json("namespaces", "list", account=True)
    (own,) = [one for one in listed if one["namespace_name"] == name]
    # The namespace's own default collection, and the one that was loaded into.
    assert (own["collection_count"], own["document_count"], own["upload_to"]) == (2, 4, None)
    shown = trawl.run("namespaces", "list", account=True).stdout.splitlines()
    assert shown[0].split() == ["name", "id", "collections", "documents"]
    assert [name, own["namespace_id"], "2", "4"] in [line.split() for line in shown]


def test_an_empty_folder_lists_none(tmp_path: Path) -> None:
    trawl = Trawl(["--data", str(tmp_path)])
    assert trawl.json("namespaces", "list") == []
    assert trawl.run("namespaces", "list").stdout.split() == [
        *("name", "id", "collections", "documents")
    ]


def test_a_key_sees_the_namespaces_that_it_reaches_and_no_others(server: Server) -> None:
    mine, other = (str(server.new_namespace().namespace) for _ in range(2))
    admin = Trawl(["--api", server.base_url, "--key", server.running.admin_key])
    assert {mine, other} <= {one["namespace_id"] for one in admin.json("namespaces", "list")}
    key = admin.run("keys", "create", "one", "--namespace", mine).stdout.strip()
    told = Trawl(["--api", server.base_url, "--key", key]).json("namespaces", "list")
    assert [one["namespace_id"] for one in told] == [mine]


def test_more_than_a_page_is_listed_and_what_went_meanwhile_is_not() -> None:
    names = [f"space-{n}" for n in range(2 * namespaces._PAGE)]

    class Service:
        """Knows these namespaces; one is deleted after it was listed."""

        def call(self, method: str, path: str, *, query: Any) -> Any:
            assert (method, path) == ("GET", "/v1/namespaces")
            start, size = int(query["offset"]), int(query["limit"])
            return {"results": [{"namespace_id": one} for one in names[start : start + size]]}

        def find(self, path: str) -> Any:
            name = path.rpartition("/")[2]
            return None if name == "space-7" else {"namespace_id": name}

    client: Any = Service()
    found = [one["namespace_id"] for one in namespaces._find_all(client)]
    assert found == [name for name in names if name != "space-7"]


def test_on_a_deployments_table_it_tells_where_to_upload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TRAWL_TABLE", "deployed")
    for name in ("ASSETS", "INDEX", "RESULTS"):
        monkeypatch.setenv(f"TRAWL_{name}_BUCKET", f"the-{name.lower()}")
    with mock_aws():
        make_table(boto3.client("dynamodb"), "deployed")
        for name in ("assets", "index", "results"):
            boto3.client("s3").create_bucket(Bucket=f"the-{name}")
        app = build_app(Settings.from_environment(os.environ))
        space = app.namespaces.create(StandaloneNamespaceCreate(namespace_name="shop"))
        app.close()
        [listed] = Trawl([]).json("namespaces", "list")
        shown = Trawl([]).run("namespaces", "list").stdout
    assert listed["upload_to"] == f"s3://the-assets/{space.namespace_id}/ingest/COLLECTION/"
    assert listed["upload_to"] in shown
    place = listed["upload_to"].removeprefix("s3://the-assets/").replace("COLLECTION", "photos")
    key = f"{place}a.png"
    assert read_key(key) == ReferenceFile(key, space.namespace_id, "photos", "a.png")
    # Elsewhere the variables' bucket is not the one that files would have to go to.
    here = Trawl(["--data", str(tmp_path / "data")]).run("namespaces", "list").stdout
    there = Trawl(["--api", server.base_url, "--key", server.running.admin_key])
    assert "upload to" not in here + there.run("namespaces", "list").stdout

"""Keys reach their own namespaces and no others, and say nothing of those others."""

from typing import Any

import pytest

from tests.servers import Client, Server

KEYS = "/v1/organizations/users/ann@example.com/api-keys"


def make_key(server: Server, name: str, **body: Any) -> Any:
    """Make a key as the admin; return the answer."""
    return server.admin.ok("POST", KEYS, {"name": name, **body})


@pytest.fixture(scope="module")
def mine(server: Server) -> Client:
    """A namespace with a document, seen with a key that may write there only."""
    admin = server.new_namespace()
    key = make_key(server, "mine", permissions=["write"], namespaces=[admin.namespace])
    client = admin.holding(key["key"])
    path = f"/v1/namespaces/{client.namespace}/documents/upsert"
    client.ok("POST", path, {"documents": [{"document_id": "mine"}]})
    return client


@pytest.fixture(scope="module")
def other(server: Server) -> Client:
    """Somebody else's namespace, as the admin sees it."""
    return server.new_namespace()


def test_another_namespace_looks_the_same_whether_it_is_there(mine: Client, other: Client) -> None:
    there = mine.within(other.namespace).get("/v1/collections/default")
    missing = mine.within("space-not-there").get("/v1/collections/default")
    assert (there.status_code, missing.status_code) == (403, 403)
    texts = [
        response.text.replace(str(name), "")
        for response, name in ((there, other.namespace), (missing, "space-not-there"))
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/namespaces/{}", None),
        ("PATCH", "/v1/namespaces/{}", {"description": "taken"}),
        ("POST", "/v1/namespaces/{}/documents/upsert", {"documents": [{"document_id": "x"}]}),
        ("GET", "/v1/namespaces/{}/documents/x", None),
        ("GET", "/v1/retrievers?namespace={}", None),
    ],
)
def test_no_way_in_through_path_or_query(
    mine: Client, other: Client, method: str, path: str, body: Any
) -> None:
    client = mine.within(None)
    assert client.send(method, path.format(other.namespace), body).status_code == 403


def test_a_key_of_one_namespace_means_that_one(mine: Client) -> None:
    assert mine.within(None).get("/v1/collections/default/documents/mine").status_code == 200


def test_a_key_of_all_namespaces_must_say_which(server: Server) -> None:
    response = server.admin.get("/v1/collections")
    assert response.status_code == 422
    [problem] = response.json()["error"]["details"]["validation_errors"]
    assert problem["path"] == "X-Namespace"


def test_the_header_wins_over_the_query(mine: Client, server: Server) -> None:
    admin = server.admin.within(mine.namespace)
    assert admin.get("/v1/collections?namespace=not-there").status_code == 200
    assert server.admin.get(f"/v1/collections?namespace={mine.namespace}").status_code == 200
    assert server.admin.get("/v1/collections?namespace=not-there").status_code == 404


def test_lists_show_only_what_the_key_reaches(mine: Client) -> None:
    names = [one["namespace_id"] for one in mine.ok("GET", "/v1/namespaces")["results"]]
    assert names == [mine.namespace]


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [("read", [200, 403, 403, 403]), ("write", [200, 200, 403, 403]),
     ("delete", [200, 200, 200, 403]), ("admin", [200, 200, 200, 200])],
)  # fmt: skip
def test_each_permission_includes_those_before_it(
    server: Server, mine: Client, permission: str, allowed: list[int]
) -> None:
    name = f"level-{permission}"
    key = make_key(server, name, permissions=[permission], namespaces=[mine.namespace])
    client = mine.holding(key["key"])
    document = {"document_id": permission}
    statuses = [
        client.get("/v1/collections").status_code,
        client.post("/v1/collections/default/documents", document).status_code,
        client.send("DELETE", "/v1/collections/default/documents/batch",
                    {"document_ids": [permission]}).status_code,
        client.get(KEYS).status_code,
    ]  # fmt: skip
    assert statuses == allowed


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer nonsense", "Basic sk_x", "sk_0000000000000000_" + "a" * 43]
)
def test_without_a_valid_key_nothing_is_told(server: Server, header: str) -> None:
    client = server.admin.holding(None).within("space-1")
    response = client.get("/v1/collections", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_wrong_secret_is_not_enough(server: Server) -> None:
    wrong = server.running.admin_key[:-4] + "AAAA"
    assert server.admin.holding(wrong).get("/v1/namespaces").status_code == 401


def test_a_revoked_key_ends_at_once_and_stays_listed(server: Server) -> None:
    key = make_key(server, "short", permissions=["admin"])
    holder = server.admin.holding(key["key"])
    assert holder.get(KEYS).status_code == 200
    server.admin.ok("DELETE", f"{KEYS}/short")
    assert holder.get(KEYS).status_code == 401
    listed = server.admin.ok("GET", f"{KEYS}?include_revoked=true")["results"]
    [shown] = [one for one in listed if one["key_id"] == key["key_id"]]
    assert shown["status"] == "revoked"
    assert "key" not in shown
    assert key["key"].split("_", 2)[2] not in str(listed)  # a secret may hold underscores


def test_a_key_never_makes_one_that_reaches_further(
    server: Server, mine: Client, other: Client
) -> None:
    bounded = make_key(server, "b", permissions=["admin"], namespaces=[mine.namespace])
    client = mine.holding(bounded["key"])
    for namespaces in (["*"], [other.namespace], ["not-there"]):
        response = client.post(KEYS, {"name": "wider", "namespaces": namespaces})
        assert response.status_code == 403
    made = client.ok("POST", KEYS, {"name": "same"})
    assert made["namespaces"] == [mine.namespace]
    shown = client.ok("GET", KEYS)["results"]
    assert all(one["namespaces"] == [mine.namespace] for one in shown)
    assert client.send("DELETE", f"{KEYS}/level-none").status_code == 404


def test_only_a_key_for_all_namespaces_makes_one_or_registers_buckets(
    server: Server, mine: Client
) -> None:
    assert mine.post("/v1/namespaces/standalone", {"namespace_id": "grab"}).status_code == 403
    admin = make_key(server, "local", permissions=["admin"], namespaces=[mine.namespace])
    patch = {"registered_buckets": ["somebodys-media"]}
    path = f"/v1/namespaces/{mine.namespace}"
    assert mine.holding(admin["key"]).send("PATCH", path, patch).status_code == 403
    # Nor may anyone register the service's own, where the media of all the others lies.
    own = server.running.app.buckets.bucket("assets").bucket
    assert server.admin.send("PATCH", path, {"registered_buckets": [own]}).status_code == 422


def test_a_namespace_is_deleted_with_all_that_is_in_it(server: Server) -> None:
    client = server.new_namespace()
    name = client.namespace
    path = f"/v1/namespaces/{name}/documents/upsert"
    client.ok("POST", path, {"documents": [{"document_id": "old"}]})
    client.ok("DELETE", f"/v1/namespaces/{name}")
    assert client.get("/v1/collections").status_code == 404
    server.admin.ok("POST", "/v1/namespaces/standalone", {"namespace_id": name})
    assert client.ok("GET", "/v1/collections/default/documents/count")["count"] == 0


def test_a_namespace_of_a_deleted_ones_id_lets_in_none_of_its_keys(
    server: Server, mine: Client
) -> None:
    first = server.new_namespace()
    name = first.namespace
    only = make_key(server, "only", namespaces=[name])["key"]
    both = make_key(server, "both", namespaces=[name, mine.namespace])["key"]
    assert first.holding(only).get("/v1/collections").status_code == 200
    server.admin.ok("DELETE", f"/v1/namespaces/{name}")
    server.admin.ok("POST", "/v1/namespaces/standalone", {"namespace_id": name})
    assert first.holding(only).get("/v1/collections").status_code == 401
    assert first.holding(both).get("/v1/collections").status_code == 403
    assert mine.holding(both).get("/v1/collections").status_code == 200

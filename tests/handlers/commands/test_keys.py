"""Keys from the command line: shown once, and never without a clear reach."""

from pathlib import Path

import pytest

from tests.handlers.commands.command_line import Trawl, load_folder


def test_keys_are_made_listed_and_revoked(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    spaces = trawl.place[1] if trawl.place else "default"
    made = trawl.run("keys", "create", "ci", "--namespace", spaces, account=True)
    text = made.stdout.strip()
    assert text.startswith("sk_")
    assert text not in made.stderr
    key_id, secret = text.split("_", 2)[1:]
    listed = trawl.run("keys", "list", account=True).stdout
    assert key_id in listed
    assert secret not in listed
    assert secret not in trawl.run("keys", "list", "--json", account=True).stdout
    (key,) = [k for k in trawl.json("keys", "list", account=True) if k["key_id"] == key_id]
    assert (key["permissions"], key["status"]) == (["read"], "active")
    trawl.run("keys", "revoke", key_id, account=True)
    left = trawl.json("keys", "list", account=True)
    assert key_id not in [one["key_id"] for one in left]
    ended = trawl.json("keys", "list", "--revoked", account=True)
    assert [one["status"] for one in ended if one["key_id"] == key_id] == ["revoked"]
    assert "not found" in trawl.run("keys", "revoke", "nope", status=1, account=True).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "create", "x"],
        ["keys", "create", "x", "--admin", "--namespace", "default"],
        ["keys", "create", "x", "--admin", "--permission", "read"],
        ["keys", "create", "x", "--permission", "root", "--namespace", "default"],
    ],
)
def test_a_key_of_no_clear_reach_is_not_made(tmp_path: Path, words: list[str]) -> None:
    Trawl(["--data", str(tmp_path)]).run(*words, status=2, account=True)

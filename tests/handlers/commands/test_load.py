"""A folder into a collection: each file once, and one bad file never stops the rest."""

import hashlib
import os
from pathlib import Path

import pytest

from handlers.local import start_background
from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import (
    INTO_PHOTOS,
    Trawl,
    load_folder,
    make_retriever,
    write_pictures,
)
from tests.servers import Server


def test_stored_fields_tell_the_file(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    (row,) = trawl.json("batch", "copies", str(folder / "sub" / "3.png"))
    content = (folder / "sub" / "3.png").read_bytes()
    fields = {
        name: row["best_match"][name] for name in ("path", "filename", "sha256", "size_bytes")
    }
    assert fields == {
        "path": "sub/3.png",
        "filename": "3.png",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }


def test_loading_again_changes_nothing_and_goes_on_where_it_stopped(
    trawl: Trawl, folder: Path
) -> None:
    load_folder(trawl, folder, "--include", "[01].PNG")
    first = load_folder(trawl, folder)
    assert (first["loaded"], first["skipped"], first["document_count"]) == (2, 2, 4)
    again = load_folder(trawl, folder)
    assert (again["loaded"], again["skipped"], again["document_count"]) == (0, 4, 4)


def test_a_moved_folder_is_the_same_and_a_changed_file_is_new(
    trawl: Trawl, folder: Path, tmp_path: Path
) -> None:
    load_folder(trawl, folder)
    moved = folder.rename(tmp_path / "elsewhere")
    (moved / "0.png").write_bytes(encode(landscape(50), "PNG"))
    report = load_folder(trawl, moved)
    assert (report["loaded"], report["skipped"]) == (1, 3)


def test_bad_files_cost_only_themselves(trawl: Trawl, folder: Path) -> None:
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "lying.jpg").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / ".hidden").write_text("not looked at")
    report = load_folder(trawl, folder, status=1)
    assert report["loaded"] == 4
    failed = report["failed"]
    assert isinstance(failed, list)
    names = {entry["file"] for entry in failed}
    assert names == {"cut.png", "lying.jpg", "empty.jpg", "broken"}
    assert all(entry["reason"] for entry in failed)
    shown = trawl.run("load", str(folder), *INTO_PHOTOS, status=1)
    assert shown.stdout.startswith("loaded 0, skipped 4 loaded before, failed 4;")
    assert "lying.jpg: not an image" in shown.stderr
    assert "empty.jpg: the file is empty" in shown.stderr


def test_a_wrong_ending_is_no_reason_to_refuse_a_picture(trawl: Trawl, folder: Path) -> None:
    (folder / "2.png").rename(folder / "2.jpg")
    assert load_folder(trawl, folder)["loaded"] == 4


def test_pictures_without_detail_are_told_apart(trawl: Trawl, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 1)
    plain = landscape(1).resize((4, 4)).resize((64, 64), 0)
    (tmp_path / "photos" / "plain.png").write_bytes(encode(plain, "PNG"))
    for loaded in (1, 0):  # it is said every time
        report = load_folder(trawl, tmp_path / "photos", status=1)
        assert (report["loaded"], report["skipped"]) == (loaded, 1 - loaded)
        assert report["document_count"] == 1
        [plain_one] = report["failed"]
        assert plain_one["file"] == "plain.png"
        assert plain_one["reason"].startswith("not loaded: too little detail")
        assert plain_one["reason"].endswith("; copies of it would not be found")
    shown = trawl.run("load", str(tmp_path / "photos"), *INTO_PHOTOS, status=1).stderr
    assert "plain.png: not loaded: too little detail" in shown


def test_a_folder_that_loads_nothing_is_a_mistake(trawl: Trawl, folder: Path) -> None:
    shown = trawl.run("load", str(folder), *INTO_PHOTOS, "--include", "*.gif", status=2)
    assert "*.gif" in shown.stderr
    trawl.run("load", str(folder / "nowhere"), *INTO_PHOTOS, status=2)


def test_another_extractor_is_named(trawl: Trawl, folder: Path) -> None:
    wrong = ["--collection", "photos", "--extractor", "image.nope"]
    shown = trawl.run("load", str(folder), *wrong, status=1)
    assert "unknown extractor 'image.nope'" in shown.stderr
    load_folder(trawl, folder)
    shown = trawl.run("load", str(folder), *wrong, status=1)
    assert "has the extractor image.pdq, not image.nope" in shown.stderr


def test_what_was_made_is_said(trawl: Trawl, folder: Path) -> None:
    assert "made the collection photos" in trawl.run("load", str(folder), *INTO_PHOTOS).stderr
    assert "made" not in trawl.run("load", str(folder), *INTO_PHOTOS).stderr


def test_a_key_that_may_not_write_loads_nothing(server: Server, folder: Path) -> None:
    name = server.new_namespace().namespace
    assert name is not None
    admin = Trawl(["--api", server.base_url, "--key", server.running.admin_key])
    made = admin.json("keys", "create", f"reader-{name}", "--namespace", name, account=True)
    reader = Trawl(["--api", server.base_url, "--key", made["key"]])
    shown = reader.run("load", str(folder), *INTO_PHOTOS, status=1)
    assert "permission write" in shown.stderr


def test_a_name_that_is_no_text_can_be_loaded(tmp_path: Path, folder: Path) -> None:
    (folder / "0.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    trawl = Trawl(["--data", str(tmp_path / "data")])
    assert load_folder(trawl, folder)["loaded"] == 4
    assert load_folder(trawl, folder)["skipped"] == 4


def test_a_data_folder_may_be_used_while_it_is_served(tmp_path: Path, folder: Path) -> None:
    data = tmp_path / "data"
    running = start_background(data)
    try:
        here = Trawl(["--data", str(data)])
        load_folder(here, folder)
        make_retriever(here)
        made = here.json(
            "keys", "create", "both", "--namespace", "default", "--permission", "write",
            account=True,
        )  # fmt: skip  # a command line
        # This key reaches one namespace, so none is named.
        there = Trawl(["--api", running.base_url, "--key", made["key"]])
        assert load_folder(there, folder)["skipped"] == 4
        write_pictures(folder, 1, first=7)
        assert load_folder(there, folder)["loaded"] == 1
        for way in (here, there):
            (row,) = way.json("batch", "copies", str(folder / "7.png"))
            assert row["verdict"] == "match"
    finally:
        running.stop()


def test_sources_of_all_sorts_are_one_load(trawl: Trawl, folder: Path, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    write_pictures(refs, 3, first=10)
    (refs / "list.csv").write_text("path,id,artist\n10.png,ten,x\nnowhere.png,,\n11.png,ten,\n")
    write_pictures(tmp_path / "odd [1]", 1, first=20)
    sources = [
        str(folder),
        f"{refs}/*2.png",
        str(refs / "list.csv"),
        str(tmp_path / "odd [1]" / "20.png"),
    ]
    report = trawl.json("load", *sources, *INTO_PHOTOS, status=1)
    assert (report["loaded"], report["document_count"]) == (7, 7)
    assert {entry["file"] for entry in report["failed"]} == {"list.csv:4", "nowhere.png"}
    again = trawl.json("load", *sources, "--collection", "photos", status=1)
    assert (again["loaded"], again["skipped"]) == (0, 7)


def test_other_kinds_are_left_out_and_grouped(trawl: Trawl, folder: Path) -> None:
    for n in range(5):
        (folder / f"{n}.txt").write_text("notes")
    (folder / "song.png").write_bytes(b"ID3\x04" + bytes(20))
    os.mkfifo(folder / "pipe")
    shown = trawl.run("load", str(folder), *INTO_PHOTOS, status=1)
    assert shown.stdout.startswith(
        "loaded 4, skipped 0 loaded before, left out 6 of other kinds, failed 1; photos holds 4"
    )
    assert "left out: 5 files: not a picture (text/plain): 0.txt, 1.txt, 2.txt, …" in shown.stderr
    assert "left out: song.png: not a picture (audio/mpeg)" in shown.stderr
    (folder / "pipe").unlink()
    assert len(load_folder(trawl, folder)["other_kinds"]) == 6


def test_what_names_nothing_is_wrong_usage(trawl: Trawl, tmp_path: Path) -> None:
    for source in ("nowhere", "nowhere/*.png", "s3://", "refs.csv"):
        trawl.run("load", str(tmp_path / source) if ":" not in source else source,
                  *INTO_PHOTOS, status=2)  # fmt: skip  # a command line
    (tmp_path / "refs.csv").write_text("file\nx.png\n")
    shown = trawl.run("load", str(tmp_path / "refs.csv"), *INTO_PHOTOS, status=1)
    assert "no column path" in shown.stderr


def test_without_an_extractor_the_collection_must_be_there(trawl: Trawl, folder: Path) -> None:
    shown = trawl.run("load", str(folder), "--collection", "photos", status=1)
    assert "no collection photos" in shown.stderr or "namespace" in shown.stderr


def test_a_second_ctrl_c_ends_the_command_at_once(
    trawl: Trawl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def leave(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr("handlers.commands.load.load_files", interrupt)
    monkeypatch.setattr(os, "_exit", leave)
    assert "run it again" in trawl.run("load", str(folder), *INTO_PHOTOS, status=130).stderr


def test_an_extractors_parameters_are_the_new_collections(trawl: Trawl, folder: Path) -> None:
    pytest.importorskip("cv2")
    verify = ("--parameter", "verify=true")
    assert load_folder(trawl, folder, *verify)["loaded"] == 4
    assert load_folder(trawl, folder, *verify)["skipped"] == 4
    assert load_folder(trawl, folder)["skipped"] == 4
    said = trawl.run("load", str(folder), *INTO_PHOTOS, "--parameter", "verify=false", status=1)
    assert "with other parameters: {'verify': True}" in said.stderr
    plain = ("--collection", "plain", "--extractor", "image.pdq")
    refused = trawl.run("load", str(folder), *plain, "--parameter", "verify=often", status=1)
    assert "verify" in refused.stderr
    trawl.run("load", str(folder), *plain, "--parameter", "verify", status=2)

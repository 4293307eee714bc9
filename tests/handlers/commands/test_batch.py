"""Files against a retriever: every file has its verdict, and none is clear by accident."""

from pathlib import Path

import pytest

from tests.core.media.pictures import encode, landscape
from tests.handlers.commands.command_line import Trawl, load_folder, make_retriever


def test_from_a_folder_to_verdicts_in_three_commands(
    trawl: Trawl, folder: Path, tmp_path: Path
) -> None:
    assert load_folder(trawl, folder)["loaded"] == 4
    make_retriever(trawl)
    copy, stranger = tmp_path / "copy.jpg", tmp_path / "stranger.png"
    copy.write_bytes(encode(landscape(4).resize((200, 150)), "JPEG", quality=40))
    stranger.write_bytes(encode(landscape(99), "PNG"))
    rows = trawl.json("batch", "copies", str(copy), str(stranger))
    assert [row["verdict"] for row in rows] == ["match", "clear"]
    assert rows[0]["best_match"]["path"] == "sub/3.png"
    assert rows[0]["distance"] <= 31
    assert rows[1]["distance"] > 60
    assert (
        rows[1]["result"]["evidence"] | {"compared": 4, "exact": True}
        == (rows[1]["result"]["evidence"])
    )
    table = trawl.run("batch", "copies", str(copy), str(stranger)).stdout.splitlines()
    assert table[0].split() == ["file", "verdict", "best", "match", "distance", "where"]
    assert table[1].split()[1:3] == ["match", "sub/3.png"]


def test_what_cannot_be_judged_is_unknown_and_fails(
    trawl: Trawl, folder: Path, tmp_path: Path
) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    whole = (folder / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.png").write_bytes(encode(landscape(1).resize((4, 4)), "PNG"))
    names = [str(folder / "0.png"), *(str(tmp_path / n) for n in ("cut.png", "plain.png", "no"))]
    rows = trawl.json("batch", "copies", *names, "s3://strange-bucket/x.png", status=1)
    assert [row["verdict"] for row in rows] == ["match", *["unknown"] * 4]
    assert all(row["reason"] for row in rows[1:])
    shown = trawl.run("batch", "copies", *names, status=1).stdout
    assert "No such file" in shown
    assert "clear" not in shown


def test_an_empty_collection_clears_nothing(trawl: Trawl, folder: Path) -> None:
    (folder / "only").mkdir()
    plain = encode(landscape(1).resize((4, 4)), "PNG")
    (folder / "only" / "plain.png").write_bytes(plain)
    assert load_folder(trawl, folder / "only", status=1)["document_count"] == 0
    make_retriever(trawl)
    (row,) = trawl.json("batch", "copies", str(folder / "0.png"), status=1)
    assert row["verdict"] == "unknown"
    assert "nothing was compared" in row["reason"]


def test_more_files_than_a_call_takes_keep_their_order(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    names = [str(folder / f"{n % 3}.png") for n in range(53)]
    rows = trawl.json("batch", "copies", *names, "--concurrency", "20")
    assert [row["best_match"]["path"] for row in rows] == [f"{n % 3}.png" for n in range(53)]


@pytest.mark.parametrize(("option", "status"), [("match", 1), ("review", 1)])
def test_a_match_fails_where_it_is_asked_to(
    trawl: Trawl, folder: Path, option: str, status: int
) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    file = str(folder / "0.png")
    trawl.run("batch", "copies", file, "--fail-on", option, status=status)
    trawl.run("batch", "copies", file)


def test_the_input_is_found_or_asked_for(trawl: Trawl, folder: Path) -> None:
    load_folder(trawl, folder)
    make_retriever(trawl)
    file = str(folder / "0.png")
    (row,) = trawl.json("batch", "copies", file, "--input", "image")
    assert row["verdict"] == "match"
    (row,) = trawl.json("batch", "copies", file, "--input", "picture", status=1)
    assert row["verdict"] == "unknown"
    assert "image" in row["reason"]


def test_names_cannot_write_to_the_terminal(tmp_path: Path, folder: Path) -> None:
    trawl = Trawl(["--data", str(tmp_path / "data")])
    load_folder(trawl, folder)
    make_retriever(trawl)
    name = tmp_path / "a\x1b[2Jb.png"
    name.write_bytes((folder / "0.png").read_bytes())
    shown = trawl.run("batch", "copies", str(name)).stdout
    assert "\x1b" not in shown
    assert "a\N{REPLACEMENT CHARACTER}[2Jb.png" in shown

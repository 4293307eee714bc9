"""The page says of each verdict what it means, what was compared, and what was not checked."""

import re
from typing import Any

import pytest

from handlers.report.page import MAX_BYTES, render
from handlers.report.thumbnails import MAX_BYTES as MAX_PICTURE
from handlers.report.thumbnails import Shown
from handlers.report.words import VERDICTS, clock, reason_words, telling_reasons
from tests.handlers.report.answers import (
    HOSTILE,
    Pictures,
    cell,
    file_of,
    match,
    report,
    retriever,
)
from tests.handlers.report.test_markup import Reader

PICTURE = Shown("data:image/jpeg;base64,AAAA", 10, 10)
# Every element a page has; anything else came in by a name.
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "article"),
    *("footer", "div", "p", "span", "strong", "a", "h1", "h2", "h3", "h4"),
    *("h5", "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr"),
    *("th", "td", "figure", "figcaption", "img", "code", "svg", "path", "rect"),
}


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Reader(page).text)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (cell("block", **match(distance=2)), "Distance 2 of 256 bits"),
        (cell("review", **match(distance=44)), "A person has to look at both."),
        (cell("unknown", ("timed_out", "it took long")), "Time ran out: it took long"),
        (cell("clear", **match(distance=99)), "original.png, 99 bits away: not near"),
    ],
)
def test_each_verdict_is_said_in_words_and_shape(held: dict[str, Any], said: str) -> None:
    word = held["verdict"]
    page = render(report(file_of("a.jpg", word, {"copies": held})), Pictures(PICTURE))
    text = text_of(page)
    assert said in text
    assert f"1. {VERDICTS[word].title}" in text
    assert VERDICTS[word].advice in text
    assert f'class="sign {word}"' in page
    assert f'class="card {word}"' in page


def test_a_match_stands_beside_its_reference_with_its_seconds() -> None:
    held = cell("block", **match("film.mp4", moment=True))
    page = render(report(file_of("a.mp4", "block", {"copies": held})), Pictures(PICTURE))
    text = text_of(page)
    alts = [found["alt"] for name, found in Reader(page).elements if name == "img"]
    assert alts == ["Scanned file: a.mp4", "Reference: film.mp4"]
    assert "Reference: 31.0 s to 37.0 s" in text
    assert "5 of the 6 compared" in text
    assert "the file is mirrored in comparison with the reference" in text


def test_it_says_against_what_and_how_well_it_was_compared() -> None:
    held = cell("clear")
    text = text_of(render(report(file_of("a.jpg", "clear", {"copies": held}))))
    assert "photos, snapshot version 4 (col_1)" in text
    assert "match up to 31 of 256 bits, possible match up to 60" in text
    assert "the extractor's defaults" in text
    assert "9 reference entries of photos at version 4" in text
    assert "exact: every entry was compared" in text
    assert "2026-01-02 03:04:05 UTC" in text
    assert "Nothing: every file was compared completely" in text


def test_what_is_not_exact_is_never_called_exact() -> None:
    evidence = {"compared": 9, "best_score": 0.1, "exact": False, "snapshots": {}}
    held = cell("unknown", ("not_exact", "the search was not proven exact"), evidence=evidence)
    text = text_of(render(report(file_of("a.jpg", "unknown", {"copies": held}))))
    assert "exact: every entry" not in text
    assert "approximate: not proven" in text


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        (None, "none: this retriever names no reference"),
        ({"document_id": "c1", "found": True, "reason": None}, "passed: c1 was looked for"),
        (
            {"document_id": "c1", "found": False, "reason": {"code": "x", "message": "gone"}},
            "NOT PASSED: gone",
        ),
    ],
)
def test_the_control_search_is_told(canary: Any, said: str) -> None:
    made = report(file_of("a.jpg", "clear"), retrievers=[retriever(canary=canary)])
    assert said in text_of(render(made))


def test_a_rule_that_has_changed_since_is_not_described() -> None:
    made = report(file_of("a.jpg", "clear"), retrievers=[retriever(version=2)])
    text = text_of(render(made))
    assert "it has changed since, or is gone" in text
    assert "the retriever has no rule of its own" not in text


def test_a_match_does_not_hide_what_was_not_checked() -> None:
    cells = {
        "copies": cell("block", **match()),
        "sounds": cell("unknown", ("media_unreadable", "no sound in it")),
        "films": cell("not_applicable", ("not_applicable", "the file has no film")),
    }
    held = [retriever(), retriever("sounds"), retriever("films", takes=["video"])]
    text = text_of(render(report(file_of("a.mp4", "block", cells), retrievers=held)))
    assert "not everything could be checked: see below" in text
    assert "no sound in ita.mp4" in text
    assert "Everything checkedno" in text
    assert "Not applicablefilms: the file has no film" in text


def test_a_file_that_never_reached_the_service_says_why() -> None:
    reason = {"retriever": None, "code": "file_unreadable", "message": "No such file"}
    lost = {
        "file": "gone.jpg",
        "verdict": "unknown",
        "complete": False,
        "reasons": [reason],
        "retrievers": {},
    }
    text = text_of(render(report(lost, retrievers=[]), Pictures(PICTURE)))
    assert text.count("No such file") == 2
    assert "Not determined" in text


def test_nothing_that_a_name_holds_becomes_markup() -> None:
    files = []
    for name in HOSTILE:
        found = cell("block", ("damaged", name), **match(name, moment=True))
        files.append(file_of(name, "block", {name: found, "x": cell("unknown", (name, name))}))
    held = [retriever(name, takes=[name]) for name in HOSTILE]
    page = render(report(*files, retrievers=held), Pictures(Shown(why=HOSTILE[0])))
    page.encode("utf-8")
    elements = Reader(page).elements
    assert {name for name, _ in elements} <= ELEMENTS
    for name, attributes in elements:
        assert not [key for key in attributes if key.startswith("on")]
        assert not attributes.get("href") or str(attributes["href"]).startswith("#")
        assert name != "img" or str(attributes["src"]).startswith("data:")
    assert "\x1b" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page


def test_the_largest_scan_stays_small() -> None:
    picture = "data:image/jpeg;base64," + "A" * (4_000_000 // 1050 * 4 // 3)
    shown = Shown(picture, 320, 320, tuple(range(240)), 60_000)
    names = [f"r{n}" for n in range(10)]
    cells = {name: cell("block", **match("x" * 900, moment=True)) for name in names}
    files = [file_of("y" * 900, "block", cells) for _ in range(50)]
    made = report(*files, retrievers=[retriever(name) for name in names])
    assert made.pictures == 1050
    page = render(made, Pictures(shown))
    assert len(page.encode()) < MAX_BYTES
    assert page.count("data:image") == 1000
    # Were they larger than they may be, the page would do without.
    large = Shown("data:image/jpeg;base64," + "A" * MAX_PICTURE, 320, 320)
    page = render(made, Pictures(large))
    assert len(page.encode()) < MAX_BYTES
    assert "data:image" not in page.partition("</head>")[2]
    assert "this report is without pictures" in page


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = render(report(file_of("a.jpg", "clear")), Pictures(PICTURE))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in (
        page.replace("&#x27;", "'")
    )
    assert page.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    ("ms", "said"), [(0, "0.0 s"), (4015, "4.0 s"), (62_500, "1:02.5"), (3_602_500, "1:00:02.5")]
)
def test_times_are_read_like_a_player_shows_them(ms: int, said: str) -> None:
    assert clock(ms) == said


def test_what_only_follows_is_left_out_but_never_the_last_reason() -> None:
    follows = {"retriever": "a", "code": "no_query_chunks", "message": "m"}
    cause = {"retriever": "a", "code": "too_short", "message": "m"}
    other = {"retriever": "b", "code": "no_query_chunks", "message": "m"}
    assert telling_reasons([cause, follows, other]) == [cause, other]
    assert telling_reasons([follows]) == [follows]
    assert reason_words("never heard of it") == "It could not be compared completely"


def boxed_match(box: list[float], size: tuple[int, int] = (320, 200)) -> str:
    """Return the page of a match in a box of a file of that size, shown at 160 x 100."""
    found = match()
    found["documents"][0] |= {
        "query_box": box,
        "reference_box": [0, 0, 640, 480],
        "inliers": 23,
        "chunks_matched": 90,
        "chunks_searched": 600,
    }
    file = file_of("logo.jpg", "block", {"copies": cell("block", **found)})
    file |= {"width": size[0], "height": size[1]}
    return render(report(file), Pictures(Shown("data:image/jpeg;base64,AA", 160, 100)))


def test_what_met_is_framed_in_both_pictures() -> None:
    page = boxed_match([32, 20, 400, 100])
    # Of the reference's 640 x 480 no part is framed: its picture has another shape.
    assert page.count('class="boxed"') == 1
    assert 'viewBox="0 0 320 200"' in page
    assert '<rect class="box" x="32" y="20" width="288" height="80">' in page
    assert "left 32, top 20, right 400, bottom 100 px" in page
    assert "23 of the 600 compared" in page


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([500, 20, 600, 100], (320, 200)),
        ([32, 20, 32, 100], (320, 200)),
        ([32, 20, 64, 100], (300, 300)),
        ([1, 2, 3], (320, 200)),
    ],
)
def test_a_box_that_cannot_be_right_is_not_drawn(box: list[float], size: tuple[int, int]) -> None:
    assert 'class="boxed"' not in boxed_match(box, size)


def test_a_picture_that_its_metadata_turns_is_framed_as_it_is_seen() -> None:
    assert 'viewBox="0 0 320 200"' in boxed_match([32, 20, 64, 100], (200, 320))


def test_the_worst_stand_first_and_each_says_why() -> None:
    near = match(distance=90)
    files = [
        file_of("a", "clear", {"copies": cell("clear", **near)}),
        file_of("b", "clear"),
        file_of("c", "unknown", {"copies": cell("unknown", ("too_short", "3 s are too short"))}),
        file_of("d", "block", {"copies": cell("block", **match())}),
    ]
    glance = render(report(*files)).partition("At a glance")[2].partition("</table>")[0]
    said = [re.sub(r"<[^>]+>", " ", row).split("  ") for row in glance.split("<tr>")[2:]]
    rows = [" ".join(" ".join(row).split()) for row in said]
    assert rows == [
        "Match 4. d original.png (2 bits away)",
        "Not determined 3. c There is too little in the file to compare",
        "No match found 1. a nothing near; the nearest is original.png (90 bits away)",
        "No match found 2. b nothing near",
    ]


def test_a_retriever_without_a_rule_says_that_nothing_can_be_judged() -> None:
    reason = ("no_thresholds", "no distances are known to mean anything for mixpeek://x")
    file = file_of("a", "unknown", {"copies": cell("unknown", reason)})
    page = render(report(file, retrievers=[retriever(thresholds={})]))
    assert "none: what this retriever finds cannot be judged" in page
    assert "mean anything" not in page
    assert "block_at" in page

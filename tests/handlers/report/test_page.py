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
        "films": cell("not_applicable", ("not_applicable", "takes video")),
    }
    held = [retriever(), retriever("sounds"), retriever("films", takes=["video"])]
    text = text_of(render(report(file_of("a.mp4", "block", cells), retrievers=held)))
    assert "not everything could be checked: see below" in text
    assert "no sound in ita.mp4" in text
    assert "Everything checkedno" in text
    assert "Not applicableto this kind of file: films (takes video)" in text


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

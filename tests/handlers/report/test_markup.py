"""Escaping: whatever a file is called, it stays text, on its line, in its own direction."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.report.markup import MAX_TEXT, Html, element, escape, join, shown
from tests.handlers.report.answers import HOSTILE


class Reader(HTMLParser):
    """What a browser makes of markup: its elements with their attributes, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_an_attribute_is_one(name: str) -> None:
    read = Reader(element("p", shown(name), title=shown(name)).text)
    assert read.elements == [("p", {"title": shown(name)})]
    assert read.text == shown(name)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_is_one_line_of_text(name: str) -> None:
    said = shown(name)
    said.encode("utf-8")
    assert said.isprintable()
    assert len(said) <= MAX_TEXT + 60
    read = Reader(element("p", said, title=said).text)
    assert read.elements == [("p", {"title": said})]
    assert read.text == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo.jpg", "photo.jpg"),
        ("gr\u00fc\u00dfe \u732b \U0001f431.png", "gr\u00fc\u00dfe \u732b \U0001f431.png"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "a\ufffdgpj.exe"),
        ("a\N{ZERO WIDTH SPACE}b\N{LEFT-TO-RIGHT ISOLATE}c", "a\ufffdb\ufffdc"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\nb\tc\N{LINE SEPARATOR}d", "a\ufffdb\ufffdc\ufffdd"),
        ("a\N{NO-BREAK SPACE}b", "a b"),
        ("\udce9", "\ufffd"),
    ],
)
def test_what_moves_or_hides_text_is_replaced(name: str, said: str) -> None:
    assert shown(name) == said


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    said = shown("begin" + "x" * 5000 + "end.jpg")
    assert said.startswith("begin")
    assert said.endswith("end.jpg")
    assert "4,712 characters left out" in said


def test_marks_do_not_climb_over_other_lines() -> None:
    assert len(shown("Z" + "\N{COMBINING GRAVE ACCENT}" * 200)) <= 5


def test_only_markup_made_here_is_taken_as_it_is() -> None:
    made = element("b", "<i>", Html("<br>"), None, "&")
    assert made.text == "<b>&lt;i&gt;<br>&amp;</b>"
    assert join("<", made).text == "&lt;" + made.text
    assert escape("\"'<>&") == "&quot;&#x27;&lt;&gt;&amp;"


def test_attributes_stand_alone_or_are_left_out() -> None:
    made = element("img", src="x", hidden=True, alt=None, open=False, class_="a", aria_label="b")
    assert made.text == '<img src="x" hidden class="a" aria-label="b">'

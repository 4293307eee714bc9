"""HTML out of values that nobody vouches for: text is escaped unless it was made here."""

import html
import unicodedata
from dataclasses import dataclass
from typing import Final

_EMPTY: Final = frozenset({"br", "img", "meta"})
# Letters may carry marks; a name of nothing but marks climbs over what stands above it.
_MAX_MARKS: Final = 4
MAX_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Html:
    """Markup made by `element`, `join` or a file of ours: it goes into a page as it is."""

    text: str


Child = Html | str | None


def element(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """Return `<name …>children</name>`; strings are escaped, None is left out.

    Attributes: True stands alone, None and False are left out; `class_` is `class`, and other
    underscores are hyphens.
    """
    written = "".join(
        f" {_attribute_name(key)}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children).text}</{name}>")


def join(*children: Child) -> Html:
    """Return the children one after the other."""
    return Html(
        "".join(
            child.text if isinstance(child, Html) else escape(child)
            for child in children
            if child is not None
        )
    )


def escape(text: str | bool) -> str:
    """Return text for an element or a quoted attribute."""
    return html.escape(str(text), quote=True)


def shown(value: object, limit: int = MAX_TEXT) -> str:
    """Return a foreign value as one line to show: nothing in it may turn, hide or move text.

    Control and format characters (line breaks, escape sequences, changes of the writing's
    direction), surrogates and unassigned characters become U+FFFD, marks beyond a few are left
    out, and of what is longer the middle: a name's end says what kind of file it is.
    """
    text = str(value)
    kept = text if len(text) <= limit else _shortened(text, limit)
    said, marks = [], 0
    for char in kept:
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks > _MAX_MARKS:
            continue
        if kind in ("Zl", "Zp") or kind.startswith("C"):
            said.append("\N{REPLACEMENT CHARACTER}")
        else:
            said.append(" " if kind == "Zs" else char)
    return "".join(said)


def _shortened(text: str, limit: int) -> str:
    end = limit // 3
    note = f" … ({len(text) - limit:,} characters left out) … "
    return text[: limit - end] + note + text[-end:]


def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")

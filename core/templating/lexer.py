"""Template source to pieces: plain text, expressions, tags; and expressions to tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.errors import TemplateError

PieceKind = Literal["text", "output", "tag"]
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_OPENING = re.compile(r"\{\{|\{%|\{#")
_RAW_START = re.compile(r"-?\s*raw\s*-?")
_RAW_END = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_TOKEN = re.compile(
    r"""\s+
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator>==|!=|<=|>=|//|\*\*|[-+*/%~<>=|.,:?()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an expression; `position` is its offset in the template."""

    kind: Literal["number", "name", "string", "operator", "end"]
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of source: text as it is to appear, or the tokens between braces."""

    kind: PieceKind
    text: str
    tokens: tuple[Token, ...]
    position: int


def fail(source: str, position: int, message: str) -> TemplateError:
    """Return the error of something wrong at an offset, told as line and column from 1."""
    before = source[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
    return TemplateError(
        f"line {line}, column {column}: {message}", line=line, column=column, position=position
    )


def split_pieces(source: str) -> list[Piece]:
    """Split a template. `{%-` and `-%}` (and `{{-`, `-}}`) trim the white space beside them."""
    pieces: list[Piece] = []
    position = 0
    trim = False
    while position <= len(source):
        opening = _OPENING.search(source, position)
        end = opening.start() if opening else len(source)
        text = source[position:end]
        text = text.lstrip() if trim else text
        trims_left = opening is not None and source[opening.end() : opening.end() + 1] == "-"
        text = text.rstrip() if trims_left else text
        if text:
            pieces.append(Piece("text", text, (), position))
        if opening is None:
            break
        position, trim = _split_braces(source, opening, pieces)
    return pieces


def _split_braces(source: str, opening: re.Match[str], pieces: list[Piece]) -> tuple[int, bool]:
    """Append what the braces hold; return where they end and whether they trim what follows."""
    start = opening.start()
    closing = _CLOSING[opening.group()]
    if opening.group() == "{#":
        end = source.find(closing, opening.end())
        if end < 0:
            raise fail(source, start, "the comment is not closed")
        return end + 2, source[end - 1] == "-"
    end = _find_closing(source, opening.end(), closing)
    if end < 0:
        raise fail(source, start, f"{opening.group()} is not closed by {closing}")
    begin = opening.end() + (source[opening.end()] == "-")
    trims_right = end - 1 >= begin and source[end - 1] == "-"
    stop = end - 1 if trims_right else end
    if opening.group() == "{%" and _RAW_START.fullmatch(source, opening.end(), end):
        close = _RAW_END.search(source, end + 2)
        if close is None:
            raise fail(source, start, "raw is not closed by endraw")
        pieces.append(Piece("text", source[end + 2 : close.start()], (), end + 2))
        return close.end(), False
    tokens = tuple(_tokenize(source, begin, stop))
    pieces.append(Piece("output" if closing == "}}" else "tag", "", tokens, start))
    return end + 2, trims_right


def _find_closing(source: str, start: int, closing: str) -> int:
    """Return where the braces close: not within a string, nor where `}}` ends an object."""
    depth = 0
    position = start
    while position < len(source):
        if depth == 0 and source.startswith(closing, position):
            return position
        character = source[position]
        if character in "\"'":
            token = _TOKEN.match(source, position)
            if token is None:
                return -1
            position = token.end()
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        depth = max(depth, 0)
        position += 1
    return -1


def _tokenize(source: str, start: int, end: int) -> Iterator[Token]:
    position = start
    while position < end:
        found = _TOKEN.match(source, position, end)
        if found is None:
            raise fail(source, position, f"unexpected {source[position]!r}")
        if found.lastgroup == "string":
            yield Token("string", _unquote(source, found), position)
        elif found.lastgroup in ("number", "name", "operator"):
            # Narrowed by the test above; the pattern has no other named group.
            kind: Literal["number", "name", "operator"] = found.lastgroup  # type: ignore[assignment]
            yield Token(kind, found.group(), position)
        position = found.end()
    yield Token("end", "", end)


def _unquote(source: str, found: re.Match[str]) -> str:
    def replace(escape: re.Match[str]) -> str:
        code = escape.group(1)
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

    text = _ESCAPE.sub(replace, found.group()[1:-1])
    try:
        # As in JSON, two escapes may be the halves of one character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise fail(source, found.start(), "half a surrogate pair is no character") from error

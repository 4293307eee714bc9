"""Templates: text, outputs, and the `if`, `for` and `set` tags between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import TemplateError
from core.templating.expressions import MAX_NESTING, Names, Parser
from core.templating.lexer import Piece, fail, split_pieces
from core.templating.operations import Evaluate, truth
from core.templating.values import Frame, defined, items_of, kind

MAX_SOURCE: Final = 100_000
# Writes what a stretch of template comes to.
Write = Callable[[Frame, list[str]], None]
_TAGS: Final = ("if", "for", "set", "raw")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A parsed template: `evaluate` gives a native value if it is exactly one expression."""

    evaluate: Evaluate
    names: frozenset[str]


def compile_source(source: str) -> Compiled:
    """Parse a template; raises `TemplateError` with the position of what is wrong."""
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"a template has at most {MAX_SOURCE} characters, not {len(source)}")
    pieces = split_pieces(source)
    names = Names()
    if len(pieces) == 1 and pieces[0].kind == "output":
        parser = Parser(source, pieces[0].tokens, names)
        expression = parser.expression()
        parser.expect_end()
        return Compiled(lambda frame: defined(expression(frame)), frozenset(names.used))
    body = _Blocks(source, pieces, names).read_all()

    def render(frame: Frame) -> str:
        parts: list[str] = []
        body(frame, parts)
        return "".join(parts)

    return Compiled(render, frozenset(names.used))


class _Blocks:
    def __init__(self, source: str, pieces: Sequence[Piece], names: Names) -> None:
        self.source = source
        self.pieces = pieces
        self.names = names
        self.at = 0
        self.depth = 0

    def read_all(self) -> Write:
        body, end = self._body(())
        if end is not None:
            raise self._fail(end, f"unexpected {end.tokens[0].text!r}")
        return body

    def _fail(self, piece: Piece, message: str) -> TemplateError:
        return fail(self.source, piece.position, message)

    def _body(self, stops: Sequence[str]) -> tuple[Write, Piece | None]:
        """Read up to a tag in `stops`, which is consumed and returned; None is the end."""
        writes: list[Write] = []
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if piece.kind == "text":
                writes.append(_write_text(piece.text))
            elif piece.kind == "output":
                writes.append(_write_value(self._whole(self._parser(piece))))
            elif piece.tokens[0].text in stops:
                return _sequence(writes), piece
            else:
                writes.append(self._tag(piece))
        return _sequence(writes), None

    def _parser(self, piece: Piece, skip: int = 0) -> Parser:
        return Parser(self.source, piece.tokens[skip:], self.names, self.depth)

    def _whole(self, parser: Parser) -> Evaluate:
        expression = parser.expression()
        parser.expect_end()
        return expression

    def _tag(self, piece: Piece) -> Write:
        name = piece.tokens[0].text
        if name not in ("if", "for", "set"):
            raise self._fail(piece, f"unknown tag {name!r}; there is: {', '.join(_TAGS)}")
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self._fail(piece, f"nested more than {MAX_NESTING} levels deep")
        outer = set(self.names.local)
        write = {"if": self._if, "for": self._for, "set": self._set}[name](piece)
        if name == "for":
            self.names.local = outer
        self.depth -= 1
        return write

    def _inner(self, opening: Piece, stops: Sequence[str]) -> tuple[Write, Piece]:
        body, end = self._body(stops)
        if end is None:
            raise self._fail(opening, f"{opening.tokens[0].text} is not closed by {stops[-1]}")
        return body, end

    def _if(self, opening: Piece) -> Write:
        branches: list[tuple[Evaluate, Write]] = []
        otherwise: Write = _sequence([])
        piece = opening
        while piece.tokens[0].text in ("if", "elif"):
            condition = self._whole(self._parser(piece, 1))
            body, piece = self._inner(opening, ("elif", "else", "endif"))
            branches.append((condition, body))
        if piece.tokens[0].text == "else":
            otherwise, _ = self._inner(opening, ("endif",))

        def write(frame: Frame, parts: list[str]) -> None:
            for condition, body in branches:
                frame.step()
                if truth(condition(frame)):
                    return body(frame, parts)
            return otherwise(frame, parts)

        return write

    def _for(self, opening: Piece) -> Write:
        parser = self._parser(opening, 1)
        targets = [parser.expect_name()]
        while parser.accept(","):
            targets.append(parser.expect_name())
        parser.expect("in")
        # Not a whole expression: in `for x in xs if c` the condition belongs to the loop.
        iterable = parser.binary(1)
        self.names.local |= {*targets, "loop"}
        condition = parser.expression() if parser.accept("if") else None
        parser.expect_end()
        body, end = self._inner(opening, ("else", "endfor"))
        otherwise: Write = _sequence([])
        if end.tokens[0].text == "else":
            otherwise, _ = self._inner(opening, ("endfor",))
        return _loop(targets, iterable, condition, body, otherwise)

    def _set(self, piece: Piece) -> Write:
        parser = self._parser(piece, 1)
        name = parser.expect_name()
        parser.expect("=")
        value = self._whole(parser)
        self.names.local.add(name)

        def write(frame: Frame, _parts: list[str]) -> None:
            frame.step()
            frame.bind({name: defined(value(frame))})

        return write


def _write_text(text: str) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        frame.produce(len(text))
        parts.append(text)

    return write


def _write_value(expression: Evaluate) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        text = frame.to_text(expression(frame))
        frame.produce(len(text))
        parts.append(text)

    return write


def _sequence(writes: Sequence[Write]) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        for part in writes:
            part(frame, parts)

    return write


def _loop(
    targets: Sequence[str],
    iterable: Evaluate,
    condition: Evaluate | None,
    body: Write,
    otherwise: Write,
) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        outer = frame.variables
        items = []
        for item in items_of(iterable(frame), "for"):
            frame.step()
            bound = _bind(targets, item)
            if condition is not None:
                frame.variables = outer
                frame.bind(bound)
            if condition is None or truth(condition(frame)):
                items.append(bound)
        for index, bound in enumerate(items):
            frame.variables = outer
            frame.bind({**bound, "loop": _loop_state(index, len(items))})
            body(frame, parts)
        frame.variables = outer
        if not items:
            otherwise(frame, parts)

    return write


def _bind(targets: Sequence[str], item: Any) -> Mapping[str, Any]:
    if len(targets) == 1:
        return {targets[0]: item}
    if not isinstance(item, list) or len(item) != len(targets):
        raise TemplateError(f"for takes items of {len(targets)} parts here, not {kind(item)}")
    return dict(zip(targets, item, strict=True))


def _loop_state(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index + 1,
        "index0": index,
        "first": index == 0,
        "last": index == length - 1,
        "length": length,
    }

"""Expressions: a precedence-climbing parser whose output is plain functions of a frame.

Chains of equal precedence (`a + b + …`, `a|f|g`) become flat loops, and nesting is limited, so
neither reading nor evaluating a template can exhaust the stack.
"""

from collections.abc import Sequence
from typing import Any, Final

from core.errors import TemplateError
from core.templating.combining import (
    ADD,
    AND,
    COMPARE,
    CONCAT,
    MULTIPLY,
    NOT,
    OR,
    POWER,
    Link,
    call_link,
    chain,
    constant,
    method_link,
)
from core.templating.functions import FILTERS, FUNCTIONS, TESTS
from core.templating.lexer import Token, fail
from core.templating.operations import Evaluate, index_of, invoke, slice_of, truth
from core.templating.values import (
    NAMESPACES,
    Frame,
    Undefined,
    bounded,
    canonical_name,
    defined,
    lookup,
    member,
    numbers_of,
)
from core.types import JsonValue

MAX_NESTING: Final = 24
_LITERALS: Final = {"true": True, "false": False, "none": None, "null": None}
_LITERALS_BY_NAME: Final = _LITERALS | {"True": True, "False": False, "None": None}
_LEVELS: Final = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", "in", "not", "is"), COMPARE),
    **dict.fromkeys(("+", "-"), ADD),
    "~": CONCAT,
    **dict.fromkeys(("*", "/", "//", "%"), MULTIPLY),
    "**": POWER,
}


class Names:
    """What a template refers to: `INPUT.query`, `DOC`, `utc_now()`; local variables are not."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.local: set[str] = set()


class Parser:
    """Reads the tokens between one pair of braces."""

    def __init__(self, source: str, tokens: Sequence[Token], names: Names, depth: int = 0) -> None:
        self.source = source
        self.tokens = tokens
        self.names = names
        self.depth = depth
        self.at = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def advance(self) -> Token:
        token = self.token
        self.at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> Token | None:
        """Take the next token if it is one of these operators or keywords."""
        token = self.token
        if token.kind in ("operator", "name") and token.text in texts:
            return self.advance()
        return None

    def expect(self, text: str) -> Token:
        found = self.accept(text)
        if found is None:
            raise self.unexpected(f"expected {text!r}")
        return found

    def expect_name(self) -> str:
        if self.token.kind != "name":
            raise self.unexpected("expected a name")
        return self.advance().text

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.unexpected("expected the end of the expression")

    def unexpected(self, wanted: str) -> TemplateError:
        got = repr(self.token.text) if self.token.kind != "end" else "the end"
        return fail(self.source, self.token.position, f"{wanted}, found {got}")

    def expression(self) -> Evaluate:
        """Read `a`, `a if c else b`, `a if c`, or `c ? a : b`."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            message = f"nested more than {MAX_NESTING} levels deep"
            raise fail(self.source, self.token.position, message)
        value = self.binary(OR)
        if self.accept("if"):
            value = self._choice(self.binary(OR), value, "else")
        elif self.accept("?"):
            value = self._choice(value, self.expression(), ":")
        self.depth -= 1
        return value

    def _choice(self, condition: Evaluate, then: Evaluate, word: str) -> Evaluate:
        if word == ":":
            self.expect(word)
        elif not self.accept(word):
            missing = Undefined("the value of an if without else")
            return lambda frame: then(frame) if truth(condition(frame)) else missing
        otherwise = self.expression()
        return lambda frame: then(frame) if truth(condition(frame)) else otherwise(frame)

    def binary(self, minimum: int) -> Evaluate:
        left = self._not() if minimum <= NOT else self.unary()
        while (level := self._level()) >= minimum:
            rest: list[tuple[str, Evaluate]] = []
            while self._level() == level:
                operator = self._operator()
                if operator in ("is", "is not"):
                    left, rest = self._test(chain(level, left, rest), operator), []
                else:
                    rest.append((operator, self.binary(level + 1)))
            left = chain(level, left, rest)
        return left

    def _not(self) -> Evaluate:
        negations = 0
        while self.accept("not"):
            negations += 1
        if not negations:
            return self.unary()
        operand = self.binary(COMPARE)
        return lambda frame: truth(operand(frame)) is (negations % 2 == 0)

    def _level(self) -> int:
        token = self.token
        level = _LEVELS.get(token.text, 0) if token.kind in ("operator", "name") else 0
        if token.text == "not" and level:
            return level if self.tokens[self.at + 1].text == "in" else 0
        return level

    def _operator(self) -> str:
        operator = self.advance().text
        if operator == "not":
            self.expect("in")
            return "not in"
        if operator == "is" and self.accept("not"):
            return "is not"
        return operator

    def _test(self, operand: Evaluate, operator: str) -> Evaluate:
        token = self.token
        name = self.expect_name().lower()
        if name not in TESTS:
            message = f"unknown test {token.text!r}; there is: {', '.join(TESTS)}"
            raise fail(self.source, token.position, message)
        test, wanted = TESTS[name], operator == "is"
        accepts_undefined = name in ("defined", "undefined")

        def evaluate(frame: Frame) -> bool:
            frame.step()
            value = operand(frame)
            return test(value if accepts_undefined else defined(value)) is wanted

        return evaluate

    def unary(self) -> Evaluate:
        negative = None
        while sign := self.accept("-", "+"):
            negative = bool(negative) ^ (sign.text == "-")
        value, path = self.primary()
        if negative is None:
            return self.postfix(value, path)
        operand, factor = value, -1 if negative else 1
        signed = self.postfix(operand, path, filters=False)

        def evaluate(frame: Frame) -> JsonValue:
            return bounded(factor * numbers_of([signed(frame)], "a sign")[0])

        return self.postfix(evaluate, "")

    def primary(self) -> tuple[Evaluate, str]:
        """Read a name, literal or bracket; return it with its path (`INPUT`), "" if it has none."""
        token = self.advance()
        if token.kind == "string":
            return constant(token.text), ""
        if token.kind == "number":
            return constant(self._read_number(token)), ""
        if token.kind == "name":
            return self._name(token)
        if token.text == "(":
            inner = self.expression()
            self.expect(")")
            return inner, ""
        if token.text == "[":
            return self._list(), ""
        if token.text == "{":
            return self._object(), ""
        self.at -= token.kind != "end"
        raise self.unexpected("expected a value")

    def _read_number(self, token: Token) -> JsonValue:
        if len(token.text) > 40:
            raise fail(self.source, token.position, "the number is too long")
        value = int(token.text) if token.text.isdecimal() else float(token.text)
        try:
            return bounded(value)
        except TemplateError as error:
            raise fail(self.source, token.position, "the number is too large") from error

    def _name(self, token: Token) -> tuple[Evaluate, str]:
        name = token.text
        if self.token.text == "(" and self.token.kind == "operator":
            return self._call_function(token), ""
        if name in self.names.local:

            def variable(frame: Frame) -> JsonValue:
                value = frame.variables.get(name, frame)
                return lookup(frame.scope, canonical) if value is frame else value

            canonical = canonical_name(name)
            return variable, name
        if name in _LITERALS_BY_NAME:
            return constant(_LITERALS_BY_NAME[name]), ""
        if name in ("if", "else", "and", "or", "not", "in", "is"):
            self.at -= 1
            raise self.unexpected("expected a value")
        path = canonical_name(name)
        self._note_use(path)
        return (lambda frame: lookup(frame.scope, path)), path

    def _note_use(self, path: str) -> None:
        key: str | None = None
        if path in NAMESPACES.values():
            following = self.tokens[self.at : self.at + 3]
            texts = [token.text for token in following if token.kind != "string"]
            by_name, by_key = texts[:1] == ["."], texts == ["[", "]"]
            if len(following) == 3 and (by_name or by_key):
                key = following[1].text
        self.names.used.add(path if key is None else f"{path}.{key}")

    def _call_function(self, token: Token) -> Evaluate:
        if token.text not in FUNCTIONS:
            message = f"unknown function {token.text!r}; there is: {', '.join(FUNCTIONS)}"
            raise fail(self.source, token.position, message)
        if token.text in ("utc_now", "time_ago"):
            self.names.used.add(f"{token.text}()")
        positional, named = self._arguments()
        return invoke(FUNCTIONS[token.text], token.text, positional, named)

    def _arguments(self) -> tuple[list[Evaluate], dict[str, Evaluate]]:
        """Read `(a, b, name=c)`, or nothing where there is no bracket."""
        positional: list[Evaluate] = []
        named: dict[str, Evaluate] = {}
        if not self.accept("("):
            return positional, named
        while not self.accept(")"):
            if self.token.kind == "name" and self.tokens[self.at + 1].text == "=":
                name = self.advance().text
                self.expect("=")
                named[name] = self.expression()
            else:
                positional.append(self.expression())
            if not self.accept(",") and self.token.text != ")":
                raise self.unexpected("expected ',' or ')'")
        return positional, named

    def _list(self) -> Evaluate:
        items: list[Evaluate] = []
        while not self.accept("]"):
            items.append(self.expression())
            if not self.accept(",") and self.token.text != "]":
                raise self.unexpected("expected ',' or ']'")

        def evaluate(frame: Frame) -> list[JsonValue]:
            frame.produce(len(items))
            return [defined(item(frame)) for item in items]

        return evaluate

    def _object(self) -> Evaluate:
        items: list[tuple[Evaluate, Evaluate]] = []
        while not self.accept("}"):
            key = self.expression()
            self.expect(":")
            items.append((key, self.expression()))
            if not self.accept(",") and self.token.text != "}":
                raise self.unexpected("expected ',' or '}'")

        def evaluate(frame: Frame) -> dict[str, JsonValue]:
            frame.produce(len(items))
            return {frame.to_text(key(frame)): defined(value(frame)) for key, value in items}

        return evaluate

    def postfix(self, value: Evaluate, path: str, *, filters: bool = True) -> Evaluate:
        """Read the `.key`, `[index]`, `.method()` and `|filter` that follow a value."""
        links: list[Link] = []
        while True:
            if self.accept("."):
                path = self._attribute(links, path)
            elif self.accept("["):
                path = self._subscript(links, path)
            elif filters and self.accept("|"):
                links.append(self._filter())
                path = ""
            else:
                break
        if not links:
            return value

        def evaluate(frame: Frame) -> Any:
            current = value(frame)
            frame.step(len(links))
            for link in links:
                current = link(current, frame)
            return current

        return evaluate

    def _attribute(self, links: list[Link], path: str) -> str:
        token = self.advance()
        if token.kind == "number" and token.text.isdecimal() and len(token.text) < 10:
            key: str | int = int(token.text)
        elif token.kind == "name":
            key = token.text
        else:
            self.at -= token.kind != "end"
            raise self.unexpected("expected a name after '.'")
        path = f"{path}.{key}" if path else f".{key}"
        if isinstance(key, str) and self.token.text == "(" and self.token.kind == "operator":
            positional, named = self._arguments()
            links.append(method_link(key, positional, named))
        else:
            links.append(lambda value, _frame: member(value, key, path))
        return path

    def _subscript(self, links: list[Link], path: str) -> str:
        start = None if self.token.text == ":" else self.expression()
        if self.accept(":"):
            stop = None if self.token.text == "]" else self.expression()
            self.expect("]")
            links.append(slice_of(start, stop))
            return f"{path}[:]"
        self.expect("]")
        if start is None:
            raise self.unexpected("expected an index")
        links.append(index_of(start, path))
        return f"{path}[…]"

    def _filter(self) -> Link:
        token = self.token
        name = self.expect_name()
        if name not in FILTERS:
            message = f"unknown filter {name!r}; there is: {', '.join(FILTERS)}"
            raise fail(self.source, token.position, message)
        positional, named = self._arguments()
        return call_link(FILTERS[name], name, positional, named)

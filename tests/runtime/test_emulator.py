"""The emulator does to a function what the service would: what is proved on it holds there."""

from collections.abc import Iterator

import pytest

from tests.runtime.emulator import LIMIT_BYTES, Function


@pytest.fixture(scope="module")
def function() -> Iterator[Function]:
    with Function("tests.runtime.functions.does") as function:
        yield function


def test_an_exception_is_an_answer_and_the_process_lives(function: Function) -> None:
    before = function.invoke({"do": "tell"})
    answer = function.invoke({"do": "raise"})
    assert answer.error == "LookupError"
    assert answer.json["errorMessage"] == "of the handler's own"
    after = function.invoke({"do": "tell"})
    assert after.json["pid"] == before.json["pid"]
    assert after.json["request_id"] == after.request_id != before.request_id


def test_what_is_larger_than_the_limit_is_refused_both_ways(function: Function) -> None:
    assert function.invoke({"do": "x" * LIMIT_BYTES}).error == "RequestTooLarge"
    # As JSON it stands in quotes.
    assert function.invoke({"do": "answer", "bytes": LIMIT_BYTES - 2}).error is None
    answer = function.invoke({"do": "answer", "bytes": LIMIT_BYTES - 1})
    assert answer.error == "Function.ResponseSizeTooLarge"
    assert function.invoke({"do": "tell"}).error is None


@pytest.mark.parametrize(
    ("deed", "error"), [("end", "Runtime.ExitError"), ("sleep", "Sandbox.Timedout")]
)
def test_after_a_process_that_ended_or_was_ended_comes_another(
    function: Function, deed: str, error: str
) -> None:
    before = function.invoke({"do": "tell"}).json["pid"]
    assert function.invoke({"do": deed}, timeout_s=1.0).error == error
    after = function.invoke({"do": "tell"})
    assert after.error is None
    assert after.json["pid"] != before


def test_a_function_that_cannot_start_says_why() -> None:
    with Function("tests.runtime.broken.handler") as function:
        for _ in range(2):
            answer = function.invoke({})
            assert answer.error == "OSError"
            assert answer.json["errorMessage"] == "no such configuration"

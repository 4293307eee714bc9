"""Calls to the API as API Gateway hands them to its function."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.handlers.test_api import make_event
from tests.runtime.emulator import Answer, Function


@dataclass(frozen=True, slots=True)
class Called:
    """One call's answer: what the gateway would send, and what the platform saw."""

    status: int
    body: Any
    headers: dict[str, str]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends calls of one key to a function; asserts only that the platform got an answer."""

    function: Function
    key: str | None = None
    namespace: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "v2",
        timeout_s: float | None = None,
    ) -> Called:
        """Return the answer to one call."""
        event = make_event(version, method, path, body, key=self.key, namespace=self.namespace)
        answer = self.function.invoke(event, timeout_s=timeout_s)
        assert answer.error is None, (answer.payload, self.function.log)
        told = answer.json
        text = base64.b64decode(told["body"]) if told["isBase64Encoded"] else told["body"]
        headers = told.get("headers") or {n: v[0] for n, v in told["multiValueHeaders"].items()}
        return Called(told["statusCode"], json.loads(text), headers, answer)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Return the JSON of a call that must succeed."""
        called = self.call(method, path, body, **options)
        assert called.status == 200, called.body
        return called.body

    def within(self, namespace: str) -> "Caller":
        """Return the same caller in a namespace."""
        return Caller(self.function, self.key, namespace)

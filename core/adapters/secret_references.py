"""The keys of models elsewhere, found by reference: in the environment or in AWS's stores.

A key is held in memory for some minutes and goes into one header; it is in no error and no log.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from core.adapters.aws_clients import make_client, map_error
from core.errors import TrawlError

# How long a key is used before it is looked up again: rotated ones are found by then.
FRESH_S: Final = 300.0


class Secrets:
    """Finds secrets by `env:NAME` or by ARN. Thread-safe; blocks."""

    def __init__(
        self,
        *,
        make: Callable[[str], Any] = make_client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, str]] = {}

    def get(self, reference: str) -> str:
        """Return a secret; `TrawlError` that names the reference alone if there is none."""
        with self._lock:
            known = self._found.get(reference)
        if known is not None and self._clock() - known[0] < FRESH_S:
            return known[1]
        value = self._look_up(reference).strip()
        if not value or not value.isascii() or not value.isprintable():
            raise TrawlError(f"the secret {reference} is empty or cannot stand in a header")
        with self._lock:
            self._found[reference] = (self._clock(), value)
        return value

    def forget(self, reference: str) -> None:
        """Look a secret up again next time: it was refused."""
        with self._lock:
            self._found.pop(reference, None)

    def _look_up(self, reference: str) -> str:
        if reference.startswith("env:"):
            return os.environ.get(reference[4:], "")
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if ":secretsmanager:" in reference:
                answer = self._make("secretsmanager").get_secret_value(SecretId=reference)
                return str(answer.get("SecretString", ""))
            answer = self._make("ssm").get_parameter(Name=reference, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        except (BotoCoreError, ClientError) as error:
            raise map_error(error, f"the store of {reference}") from error

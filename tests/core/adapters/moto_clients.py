"""A moto client that tests may use from several threads."""

import threading
from typing import Any


class OneCallAtATime:
    """AWS writes an item or an object atomically; moto, called from several threads, does not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                return method(*arguments, **named)

        return call

"""The attribute columns of one segment: those stored with it, others built when first asked."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from core.search.columns import Column, build_column
from core.storage.payloads import Payloads
from core.storage.segment_columns import StoredColumns

MAX_BUILT_BYTES: Final = 64 << 20


class ColumnCache:
    """Gives the column of any path. What it builds is kept, least recently used out first."""

    __slots__ = ("_built", "_built_bytes", "_lock", "_payloads", "_stored")

    def __init__(self, payloads: Payloads, stored: StoredColumns) -> None:
        self._payloads = payloads
        self._stored = stored
        self._built: OrderedDict[Hashable, Column] = OrderedDict()
        self._built_bytes = 0
        self._lock = threading.Lock()

    def get(self, path: str) -> Column:
        """Return the column; several threads asking for new ones wait for one another."""
        stored = self._stored.find(path, len(self._payloads))
        if stored is not None:
            return stored
        return self.build(path, lambda: build_column(self._payloads, path))

    def build(self, path: Hashable, make: Callable[[], Column]) -> Column:
        """Return what was built under that name, else what `make` makes now.

        `make` must not ask for a column itself: it would wait for itself.
        """
        # Building holds the interpreter anyway: side by side it would be no faster, only larger.
        with self._lock:
            column = self._built.get(path)
            if column is None:
                column = make()
                self._keep(path, column)
            self._built.move_to_end(path)
            return column

    def held(self, path: str) -> Column | None:
        """Return the column if it is there already, None if it would have to be built."""
        stored = self._stored.find(path, len(self._payloads))
        if stored is not None:
            return stored
        with self._lock:
            return self._built.get(path)

    def _keep(self, path: Hashable, column: Column) -> None:
        self._built[path] = column
        self._built_bytes += column.nbytes
        while self._built_bytes > MAX_BUILT_BYTES and len(self._built) > 1:
            _, dropped = self._built.popitem(last=False)
            self._built_bytes -= dropped.nbytes

"""Fixtures of the tests that go through HTTP."""

from tests.servers import server

__all__ = ["server"]

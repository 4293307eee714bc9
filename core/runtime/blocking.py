"""Blocking work off the loop, for no longer than there is time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from core.deadline import Deadline

T = TypeVar("T")


async def run_blocking(pool: Executor, work: Callable[[], T], deadline: Deadline) -> T:
    """Run blocking work in the pool; `TimeoutError` leaves its thread behind, and what it still
    does is looked at by nobody."""
    remaining = deadline.remaining()
    async with asyncio.timeout(None if remaining == float("inf") else remaining):
        return await asyncio.get_running_loop().run_in_executor(pool, work)

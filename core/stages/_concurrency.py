"""Work that one stage does at once: nothing of it outlives the stage."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def run_together(
    work: Sequence[Coroutine[Any, Any, T]], timeout_s: float | None = None
) -> dict[int, T]:
    """Run everything at once; return the results, by position, of all that ended in time.

    The first error cancels the others and is raised as it is. Nothing still runs when this
    returns, raises or is cancelled; what runs in a thread meanwhile ends by its own limit.
    """
    if len(work) == 1 and timeout_s is None:
        return {0: await work[0]}
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        async with asyncio.timeout(timeout_s) as limit:
            await asyncio.gather(*tasks)
    except TimeoutError:
        if not limit.expired():
            raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {n: task.result() for n, task in enumerate(tasks) if not task.cancelled()}

"""SnapStart: what a snapshot of the API's process holds, and what each copy must make anew.

Lambda starts a published version once, runs what is registered to run before, keeps the process's
memory, and starts every later copy from it, running what is registered to run after. What is
loaded by then is free for all copies; what is random, secret or connected would be the same in
all of them.
"""

import os
import random
import ssl
from collections.abc import Callable

# Part of Lambda's runtime, and of the zip: a runtime that lost it would not run the hooks.
from snapshot_restore_py import register_after_restore, register_before_snapshot

from core.settings import Settings
from handlers.http.routes import ROUTES

_SEED_BYTES = 64


def register(settings: Callable[[], Settings], forget: Callable[[], None]) -> None:
    """Have Lambda load everything before the snapshot, and drop what no two copies may share.

    `forget` drops what the process has made so far: its clients, connections, loop and threads.
    """
    register_before_snapshot(_prepare, settings, forget)
    register_after_restore(_renew, forget)


def _prepare(settings: Callable[[], Settings], forget: Callable[[], None]) -> None:
    """Import what any request needs, the service included; no connection is made.

    What fails here fails the deploy, and the version before it goes on answering.
    """
    from core.app import prime

    for route in ROUTES:
        route.run()
        if route.body != "object":
            route.body_model()
    prime(settings())
    forget()


def _renew(forget: Callable[[], None]) -> None:
    """Let this copy be itself: all that was made is made again at first use.

    Our ids and keys come from the operating system, which no snapshot copies. Others' do not:
    botocore draws its pauses from `random`, and TLS draws from OpenSSL's generator.
    """
    forget()
    random.seed()
    ssl.RAND_add(os.urandom(_SEED_BYTES), _SEED_BYTES)

"""Handlers that do to a runtime what handlers may do to it."""

import base64
import os
import signal
import time
from typing import Any

# Ends the process that decodes it, as a file would that has found a hole in a decoder.
DEADLY = b"\xff\xd8\xff deadly"


def empty(event: Any, context: Any) -> Any:
    """Answer at once."""
    return {"statusCode": 200, "body": "{}"}


def does(event: Any, context: Any) -> Any:
    """Do what the event says."""
    if event["do"] == "raise":
        raise LookupError("of the handler's own")
    if event["do"] == "answer":
        return "x" * event["bytes"]
    if event["do"] == "end":
        os.kill(os.getpid(), signal.SIGKILL)
    if event["do"] == "sleep":
        time.sleep(60)
    return {"pid": os.getpid(), "request_id": context.aws_request_id}


def media(event: Any, context: Any) -> Any:
    """Answer as the media function, whose decoder now has a hole."""
    from handlers.media import handler

    if base64.b64decode(event["data_base64"]) == DEADLY:
        os.kill(os.getpid(), signal.SIGSEGV)
    return handler(event, context)

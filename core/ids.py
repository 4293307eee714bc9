"""Ids: a prefix that says what a thing is, and 96 random bits drawn when asked, never at import."""

import secrets


def new_id(prefix: str) -> str:
    """Return `{prefix}_{24 hex digits}`, e.g. `ret_5f0c…`."""
    return f"{prefix}_{secrets.token_hex(12)}"

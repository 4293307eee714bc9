"""What may be fetched: apart from the fetcher, which loads TLS and HTTP for those who fetch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.adapters.fetch_addresses import Network, Resolve, resolve_name


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched. `allowed_networks` are non-public ones that the operator permits.

    Plain http is spoken to hosts in `allowed_networks` only, and only if `allow_http`.
    """

    max_bytes: int = 50_000_000
    max_seconds: float = 15.0
    max_redirects: int = 3
    ports: frozenset[int] = frozenset({443})
    allowed_networks: Sequence[Network] = ()
    allow_http: bool = False
    ca_file: Path | None = None
    resolve: Resolve = field(default=resolve_name, repr=False)

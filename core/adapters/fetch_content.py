"""The media fetcher: dispatches a content value to the network, to S3, or to itself."""

import threading
from typing import TYPE_CHECKING

from core.adapters.fetch_rules import FetchRules
from core.deadline import Deadline
from core.errors import MediaError
from core.media.references import InlineRef, ObjectRef, parse_content
from core.ports.media import FetchedMedia, ReadObject

if TYPE_CHECKING:
    from core.adapters.fetch_https import HttpsFetcher


class ContentFetcher:
    """A `MediaFetcher`. S3 is read through the caller's own `read_object`: it knows the rights."""

    def __init__(self, rules: FetchRules | None = None) -> None:
        self._rules = rules or FetchRules()
        self._https: HttpsFetcher | None = None
        self._lock = threading.Lock()

    def fetch(self, content: str, *, deadline: Deadline, read_object: ReadObject) -> FetchedMedia:
        """Return the bytes behind a content value; see `MediaFetcher.fetch`."""
        limit = self._rules.max_bytes
        reference = parse_content(content, max_bytes=limit)
        if isinstance(reference, InlineRef):
            return FetchedMedia(reference.data, "inline content", reference.declared_type)
        deadline.check("fetching media")
        if isinstance(reference, ObjectRef):
            # One byte more than may be read tells that there is more, however large the object.
            data = read_object(reference.bucket, reference.key, limit + 1)
            if len(data) > limit:
                raise MediaError(f"the object has more than {limit} bytes: it is not read")
            return FetchedMedia(data, f"s3://{reference.bucket}/{reference.key}"[:200])
        return self._make_https().fetch(reference.url, deadline=deadline)

    def _make_https(self) -> "HttpsFetcher":
        """Return the one fetcher, made at first use: the certificates of all the world's
        authorities and a client of HTTP are a tenth of a cold start."""
        from core.adapters.fetch_https import HttpsFetcher

        with self._lock:
            if self._https is None:
                self._https = HttpsFetcher(self._rules)
            return self._https

"""Feature addresses: `mixpeek://{extractor}@{version}/{output}`, or the bare name of an index."""

import re

_URI = re.compile(r"^(?:mixpeek|trawl)://([^@/\s]+)@([^@/\s]+)/([^@/\s]+)$")


def index_name(feature_uri: str) -> str:
    """Return the vector index that an address means: `image.pdq`, `v1`, `hash` make
    `image_pdq_v1_hash`; a bare name is the index's own."""
    match = _URI.match(feature_uri)
    if match is None:
        return feature_uri
    return "_".join(part.replace(".", "_") for part in match.groups())


def feature_uri(extractor: str, version: str, output: str) -> str:
    """Return the address of an extractor's output."""
    return f"mixpeek://{extractor}@{version}/{output}"

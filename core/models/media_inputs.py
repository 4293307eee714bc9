"""Which input of a retriever takes a file, where nobody says so: its only one that is media."""

from collections.abc import Mapping

MEDIA_TYPES = frozenset({"image", "audio", "video", "pdf", "excel"})


def only_media_input(types: Mapping[str, str]) -> str | None:
    """Return the name of the one input whose type is media; None if there is none, or several.

    `types` maps the names of an input schema to their types.
    """
    media = [name for name, kind in types.items() if kind in MEDIA_TYPES]
    return media[0] if len(media) == 1 else None

"""Templates of stage parameters and filters: parsed once, rendered per query or per document."""


def is_template(value: str) -> bool:
    """Say whether a string holds template syntax; single braces are plain text."""
    return "{{" in value or "{%" in value

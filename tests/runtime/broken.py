"""A function that cannot start."""

raise OSError("no such configuration")

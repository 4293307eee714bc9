"""Wall-clock time as it stands on the wire: ISO 8601 in UTC, to the millisecond."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Return now as `2026-11-22T08:03:46.123Z`; such texts sort as the moments do."""
    return to_iso(datetime.now(UTC))


def to_iso(moment: datetime) -> str:
    """Return an aware moment in the same form."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

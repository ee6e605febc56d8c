"""Times as they travel: RFC 3339 in UTC. Plain Python."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """'2026-11-22T10:41:58.123456Z'; raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone has no meaning here")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

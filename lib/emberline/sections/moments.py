"""Times in a pipeline file."""

from datetime import UTC, datetime


def time_text(text: str | None) -> str | None:
    """A time as it is kept and printed. Raises ValueError where it is none."""
    try:
        return None if text is None else datetime.fromisoformat(text).isoformat(sep=" ")
    except ValueError:
        raise ValueError("expected a time such as 2011-11-01 or 2011-11-01 08:00:00") from None


def moment_of(text: str | None) -> datetime | None:
    """A time of the pipeline file; without a zone, of UTC."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

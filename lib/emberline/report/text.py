"""Text as the page shows it: numbers with separators, times of runs, and nothing that hides or
reorders what it stands beside.
"""

import unicodedata
from datetime import UTC, datetime

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # spelling in some scripts, and of some emoji


def visible(text: str) -> str:
    """The text with control and bidirectional characters written out, such as [U+202E], and
    every white space as a blank.
    """
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    hidden = unicodedata.category(character) in _HIDDEN and character not in _JOINERS
    return f"[U+{ord(character):04X}]" if hidden else character


def finished(value: object) -> object:
    """What the template writes for a value: text made visible, numbers with separators; markup
    stays as it is.
    """
    if type(value) is str:
        return visible(value)
    return f"{value:,}" if type(value) is int else value


def percent(part: float, whole: float) -> str:
    """A share such as 12.3%; one too small for its digits is not called 0."""
    share = part / whole if whole else 0.0
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def measure(value: float) -> str:
    """A value to three digits after the point, four significant ones from 10 on, and whole from
    1,000 on.
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference, with its sign."""
    sign = "+" if value > 0 else "\u2212" if value < 0 else "\u00b1"
    return f"{sign}{measure(abs(value))}"


def started(run_id: str) -> datetime:
    """When the run of this id began."""
    return datetime.strptime(run_id.split("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def moment(time: datetime) -> str:
    """A time such as 22 Nov 2026, 10:01 UTC, whatever the machine's language."""
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
        time.month - 1
    ]
    return f"{time.day} {month} {time.year}, {time:%H:%M} UTC"

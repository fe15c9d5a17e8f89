"""The moments at which a pipeline runs: hourly, daily or weekly, which cron, systemd and
Airflow can all express.
"""

import re
from dataclasses import dataclass
from typing import Self

from emberline.errors import ConfigError

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")  # cron counts them from 0
_AT = re.compile(r"(?:(?:(?P<day>[A-Za-z]{3})\s+)?(?P<hour>[0-9]{1,2}))?:(?P<minute>[0-9]{2})")


@dataclass(frozen=True)
class At:
    """A minute of every hour, of every day's `hour`, or of that hour every `day` (0 is Sunday)."""

    minute: int
    hour: int | None = None
    day: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "03:00" (daily), "Mon 03:00" (weekly) or ":15" (hourly). Raises ConfigError for
        anything else.
        """
        found = _AT.fullmatch(text.strip())
        day = found and found["day"] and found["day"].capitalize()
        if (
            not found
            or int(found["minute"]) > 59
            or int(found["hour"] or 0) > 23
            or (day and day not in _DAYS)
        ):
            raise ConfigError(
                f'--at {text}: expected a time such as "03:00" (daily), "Mon 03:00" (weekly) or'
                ' ":15" (hourly)'
            )
        return cls(
            int(found["minute"]),
            int(found["hour"]) if found["hour"] else None,
            _DAYS.index(day) if day else None,
        )

    @property
    def cron(self) -> str:
        """The five fields of a crontab."""
        hour, day = ("*" if value is None else value for value in (self.hour, self.day))
        return f"{self.minute} {hour} * * {day}"

    @property
    def systemd(self) -> str:
        """What a timer's OnCalendar takes."""
        day = "" if self.day is None else f"{_DAYS[self.day]} "
        return f"{day}*-*-* {'*' if self.hour is None else f'{self.hour:02}'}:{self.minute:02}:00"

    def __str__(self) -> str:
        if self.hour is None:
            return f"every hour at :{self.minute:02}"
        return (
            f"every {'day' if self.day is None else _DAYS[self.day]} at"
            f" {self.hour:02}:{self.minute:02}"
        )

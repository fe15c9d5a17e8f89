"""The machine's clock, and its time zone, by which schedulers start runs; within a run all
times are UTC.
"""

import re
import time
import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from emberline.doctor.check import Check, error, ok, warning

_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)  # no run can be older than this program
_NAME = re.compile(r"[A-Za-z_]+(/[\w+-]+)+")  # and no rule such as CET-1CEST
_REMEDY = "install the system's tzdata, or correct TZ"


def check_clock(now: datetime | None = None) -> Check:
    """Whether the clock can be right: runs are ordered by it, and no certificate is valid at a
    time that was never.
    """
    found = now or datetime.now(UTC)
    if found < _WRITTEN:
        return error(
            "clock",
            f"the clock says {found:%Y-%m-%d %H:%M}, before this program was written",
            "set it, or start NTP",
        )
    return ok("clock", f"{found:%Y-%m-%d %H:%M} UTC")


def check_time_zone(
    environment: Mapping[str, str], places: Sequence[str] = zoneinfo.TZPATH
) -> Check:
    """The zone of cron and systemd on this machine. A name in TZ that the system does not know
    silently means UTC.
    """
    zone = environment.get("TZ", "").removeprefix(":")
    if _NAME.fullmatch(zone) and not any((Path(place) / zone).is_file() for place in places):
        return warning(
            "time zone", f"TZ = {zone} is not known here, so that programs take it for UTC", _REMEDY
        )
    return ok("time zone", f"schedulers: {_zone()}; in Spark and in logs: UTC")


def _zone() -> str:
    hours, minutes = divmod(abs(time.localtime().tm_gmtoff) // 60, 60)
    sign = "-" if time.localtime().tm_gmtoff < 0 else "+"
    offset = f"UTC{sign}{hours:02}:{minutes:02}" if hours or minutes else "UTC"
    return f"{offset}, which changes with the season" if time.daylight else offset

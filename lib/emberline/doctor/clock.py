"""The machine's time zone, by which schedulers start runs; within a run all times are UTC."""

import re
import time
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path

from emberline.doctor.check import Check, ok, warning

_NAME = re.compile(r"[A-Za-z_]+(/[\w+-]+)+")  # and no rule such as CET-1CEST
_REMEDY = "install the system's tzdata, or correct TZ"


def check_time_zone(environment: Mapping[str, str], places: Sequence[str] = zoneinfo.TZPATH) -> Check:
    """The zone of cron and systemd on this machine. A name in TZ that the system does not know silently means UTC."""
    zone = environment.get("TZ", "").removeprefix(":")
    if _NAME.fullmatch(zone) and not any((Path(place) / zone).is_file() for place in places):
        return warning("time zone", f"TZ = {zone} is not known here, so that programs take it for UTC", _REMEDY)
    return ok("time zone", f"schedulers: {_zone()}; in Spark and in logs: UTC")


def _zone() -> str:
    hours, minutes = divmod(abs(time.localtime().tm_gmtoff) // 60, 60)
    sign = "-" if time.localtime().tm_gmtoff < 0 else "+"
    offset = f"UTC{sign}{hours:02}:{minutes:02}" if hours or minutes else "UTC"
    return f"{offset}, which changes with the season" if time.daylight else offset

"""Times of day: what is understood, and that cron and systemd mean the same by it."""

import os
import shutil
import subprocess
from datetime import datetime, timedelta

import pytest

from emberline.errors import ConfigError
from emberline.schedule.calendar import At

START = datetime(2026, 2, 26, 12, 34)  # a Thursday; the month ends within a week


@pytest.mark.parametrize(
    ("text", "cron", "systemd", "words"),
    [
        ("03:00", "0 3 * * *", "*-*-* 03:00:00", "every day at 03:00"),
        ("7:05", "5 7 * * *", "*-*-* 07:05:00", "every day at 07:05"),
        ("Mon 23:59", "59 23 * * 1", "Mon *-*-* 23:59:00", "every Mon at 23:59"),
        ("sun 00:00", "0 0 * * 0", "Sun *-*-* 00:00:00", "every Sun at 00:00"),
        (":15", "15 * * * *", "*-*-* *:15:00", "every hour at :15"),
    ],
)
def test_a_time_is_daily_weekly_or_hourly(text: str, cron: str, systemd: str, words: str) -> None:
    at = At.parse(text)
    assert (at.cron, at.systemd, str(at)) == (cron, systemd, words)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "24:00",
        "12:60",
        "Mon",
        "Mon :15",
        "Foo 03:00",
        "Mon Tue 03:00",
        "03:00:00",
        "*:00",
        "٣:٠٠",
    ],
)
def test_any_other_time_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r'expected a time such as "03:00" \(daily\), "Mon 03:00" \(weekly\) or ":15" \(hourly\)'
        ),
    ):
        At.parse(text)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@pytest.mark.parametrize("text", ["03:00", "Sun 00:00", "Mon 23:59", "Sat 12:34", ":00", ":59"])
def test_systemd_elapses_when_the_crontab_says(text: str) -> None:
    at = At.parse(text)
    assert _elapses(at.systemd) == _matching_minutes(at.cron)


def _elapses(expression: str) -> list[datetime]:
    """The next five times, as systemd computes them."""
    command = [
        "systemd-analyze",
        "calendar",
        "--iterations=5",
        f"--base-time={START:%Y-%m-%d %H:%M:%S}",
        expression,
    ]
    out = subprocess.run(
        command,
        env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [
        line.partition(": ")[2]
        for line in out.splitlines()
        if "Next elapse:" in line or "Iter. #" in line or "Iteration #" in line
    ]
    return [datetime.strptime(line, "%a %Y-%m-%d %H:%M:%S UTC") for line in lines]


def _matching_minutes(cron: str) -> list[datetime]:
    """The next five times, minute by minute, as crontab(5) reads its fields."""
    minute, hour, *_, day = cron.split()
    found, time = [], START
    while len(found) < 5:
        time += timedelta(minutes=1)
        fields = ((minute, time.minute), (hour, time.hour), (day, time.isoweekday() % 7))
        if all(field in ("*", str(value)) for field, value in fields):
            found.append(time)
    return found

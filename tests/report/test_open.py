"""The command that opens a report: the path it prints, and when a browser is started."""

import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emberline.report import open as opening

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def reported(report: Callable[..., Any], root: Path, write_ratings: Callable[..., None]) -> Path:
    write_ratings(root)
    report("ratings", root)
    return root


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked for."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    return asked


def test_the_path_that_stays_is_printed(
    reported: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    ended = command("open", reported)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        0,
        f"{reported}/report/report.html\n",
        "",
    )


def test_a_browser_is_opened_where_there_is_a_screen(
    reported: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not opening.show(opening.find(reported)) and not opened
    monkeypatch.setenv("DISPLAY", ":0")
    assert opening.show(opening.find(reported))
    assert opened == [f"file://{reported}/report/report.html"]


def test_a_copy_that_is_not_the_reports_own_is_passed_over(reported: Path) -> None:
    copy = reported / "report" / "report.html"
    copy.write_text("something else")
    assert opening.find(reported) != copy
    copy.unlink()
    assert opening.find(reported).is_file()


def test_a_root_without_a_report_says_how_to_get_one(tmp_path: Path, command: Command) -> None:
    ended = command("open", tmp_path)
    assert ended.returncode == 3 and ended.stderr.count("\n") == 1
    assert "has no report; add a section [report]" in ended.stderr

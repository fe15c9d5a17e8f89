"""`emberline settings`, and the page that it writes."""

import tomllib
from pathlib import Path

import pytest

from emberline.cli.settings import settings
from emberline.errors import ConfigError

ROOT = Path(__file__).parents[2]


def _told(capsys: pytest.CaptureFixture[str], name: str | None, markdown: bool = False) -> str:
    settings(name, markdown)
    return capsys.readouterr().out


def test_the_page_of_settings_is_the_one_that_the_command_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where this fails: `emberline settings --markdown > docs/settings.md`."""
    assert (ROOT / "docs/settings.md").read_text() == _told(capsys, None, markdown=True)


def test_the_page_comes_with_the_package() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    shipped = build["targets"]["wheel"]["force-include"]
    assert shipped["docs/settings.md"] == "emberline/share/docs/settings.md"


def test_a_section_says_name_default_range_and_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(capsys, "[cnn.optimizer]")
    assert told.startswith("[cnn.optimizer]  How weights are changed.\n")
    assert '  name = "adam"  ("sgd" | "adam" | "adamw")\n      The method: ' in told
    assert "  momentum = 0.9  (number >= 0, < 1)\n      The momentum of sgd.\n" in told
    assert "  clip_norm = none  (number > 0)\n" in told


def test_a_section_brings_those_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    headings = [line.split()[0] for line in _told(capsys, "cnn").splitlines() if line[:1] == "["]
    assert headings == [
        "[cnn]",
        "[cnn.teacher]",
        "[cnn.optimizer]",
        "[cnn.input]",
        "[cnn.team]",
    ]


def test_a_required_setting_a_list_and_a_choice_of_types_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "  path = required  (text)\n" in _told(capsys, "ratings")
    assert "  k = [10]  (list of integer > 0, not empty)\n" in _told(capsys, "evaluate")
    assert "  user_id = required  (text or integer > 0)\n" in _told(capsys, "ratings.columns")


def test_eighty_columns_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, _told(capsys, None).splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cnm", r"there is no section \[cnm\] \(did you mean cnn\?\)"),
        ("cnn.tean", r"there is no section \[cnn.tean\] \(did you mean cnn.team"),
        ("xyzzy", r"there is no section \[xyzzy\] \(known: spark, shop, "),
        ("", r"there is no section \[\] \(known: "),
    ],
)
def test_an_unknown_section_is_answered_with_close_ones(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(name, False)

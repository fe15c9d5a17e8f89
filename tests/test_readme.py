"""What the README shows is true: its pipelines are ones, its commands and options exist, its
links lead somewhere.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

import emberline
from emberline import pipelines, stages
from emberline.cli.app import app

HOME = Path(__file__).parents[1]
README = (HOME / "README.md").read_text(encoding="utf-8")
PAGES = [HOME / "README.md", HOME / "CHANGELOG.md", *sorted((HOME / "docs").glob("*.md"))]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_pipeline_of_ones_own_data_is_valid_alone_and_with_what_is_known_of_items(
    tmp_path: Path,
) -> None:
    ratings, words, pictures = _blocks("toml")
    path = tmp_path / "my.toml"
    for more in ("", words, pictures, words + pictures):
        path.write_text(ratings + more, encoding="utf-8")
        config = pipelines.load(path)
        assert "report" in {stage.name for stage in stages.in_pipeline(config)}
        if more:
            new = pipelines.load(path, ["recommend.cold_share=0.1", "split.cold_items=0.2"])
            assert new.measures_cold_items


def test_the_python_of_the_readme_names_what_there_is() -> None:
    (code,) = _blocks("python")
    compile(code, "README.md", "exec")
    assert set(re.findall(r"emberline\.(\w+)\(", code)) <= set(emberline.__all__)


def test_every_command_and_option_of_the_readme_exists() -> None:
    group: Any = typer.main.get_command(app)
    shown = re.findall(r"^(?:    |\.venv/bin/)emberline (\w+)([^#\n]*)", README, re.MULTILINE)
    assert {name for name, _ in shown} >= {
        "run",
        "plan",
        "show",
        "recommend",
        "fetch",
        "open",
        "export",
    }
    for name, arguments in shown:
        assert name in group.commands, name
        assert set(re.findall(r"--[a-z-]+", arguments)) <= _options(group.commands[name]), arguments


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, f"{page.name} links to {target}#{anchor}"

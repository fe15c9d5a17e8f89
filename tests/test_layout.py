"""How the code is laid out: what nobody reads well, and what import-linter cannot see."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from emberline.stages import STAGES

TOP = Path(__file__).parent.parent
LIB = TOP / "lib" / "emberline"
MODULES = sorted(LIB.rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 40, 350
# rooms of stages that run on a framework or on a flow
FRAMEWORKS = (
    "spark",
    "cnn",
    "interactions",
    "attributes",
    "pictures",
    "shards",
    "counts",
    "recordings",
    "factors",
    "neighbors",
    "splits",
    "scoring",
)
FRAMEWORKS += ("content", "evaluation", "baselines", "reasons")


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module and how many lines it has, its docstring among them."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{module.relative_to(LIB)}:{name}": lines
        for module in MODULES
        for name, lines in functions(module)
        if lines > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_file_is_too_long_to_be_read() -> None:
    lines = {
        str(module.relative_to(LIB)): len(module.read_text().splitlines()) for module in MODULES
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    "door", sorted(LIB.rglob("__init__.py")), ids=lambda door: str(door.parent.relative_to(LIB))
)
def test_a_package_opens_with_a_sentence_and_imports_nothing(door: Path) -> None:
    body = ast.parse(door.read_text())
    sentence = ast.get_docstring(body)
    assert sentence and sentence.endswith(".")
    if door.parent != LIB:  # whose names are imported when they are first used
        assert len(body.body) == 1


def stage_modules() -> set[str]:
    targets = {target for stage in STAGES for target in (stage.target, stage.on_spark) if target}
    return {target.partition(":")[0] for target in targets}


def test_import_linter_knows_every_stage_that_runs_on_a_framework() -> None:
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
    (independence,) = (c for c in contracts["contracts"] if c["type"] == "independence")
    ours = {name for name in stage_modules() if name.split(".")[1] in FRAMEWORKS}
    assert ours == set(independence["modules"])


def test_nobody_imports_a_stage_which_its_row_names() -> None:
    """What two stages need is a library below them."""
    graph = grimp.build_graph("emberline", cache_dir=None)
    importers = {name: graph.find_modules_that_directly_import(name) for name in stage_modules()}
    assert {name: found for name, found in importers.items() if found} == {}


@pytest.mark.parametrize("page", ["architecture.md", "partitioning.md"])
def test_what_the_pages_about_the_code_name_is_there(page: str) -> None:
    named = set(
        re.findall(r"`([\w./*-]*(?:/|\.py|\.toml)[\w.*-]*)`", (TOP / "docs" / page).read_text())
    )
    assert len(named) > 20
    assert not {name for name in named if not any(LIB.glob(name)) and not any(TOP.glob(name))}


def test_the_page_about_the_code_is_one_page() -> None:
    lines = (TOP / "docs" / "architecture.md").read_text().splitlines()
    assert len(lines) <= 110 and max(map(len, lines)) <= 100

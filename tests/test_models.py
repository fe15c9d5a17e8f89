"""The table of models: what others read from it, and that no name of a model stands elsewhere."""

import ast
import re
from pathlib import Path

import pytest

from emberline.models import LIST_MODELS, MODELS, caption_of, role_of

LIB = Path(__file__).parents[1] / "lib" / "emberline"
# the table, and what a model itself consists of
OWN = ("models.py", "scoring/models/{}.py")
SETTINGS = {
    "cf/reason_kinds.py: popular",  # of a reason
    "factors/earlier.py: biases",  # of [als.ratings]
    "cleaning/media.py: content",  # of a file
    "records/parquet_pictures.py: content",
    "tuning/apart.py: content",  # of a pipeline
    "web/described.py: content",  # of a body, as OpenAPI has it
}


def test_lists_are_made_by_models_whose_tables_say_from_what() -> None:
    assert LIST_MODELS == ("als", "item-neighbors", "user-neighbors")
    assert {role_of(name) for name in LIST_MODELS} == {"model"}


@pytest.mark.parametrize("name", MODELS)
def test_every_row_has_a_caption(name: str) -> None:
    assert caption_of(name)
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)


def test_a_name_that_is_not_in_the_table_has_no_role_and_no_caption() -> None:
    assert (role_of("psychic"), caption_of("psychic")) == (None, "")


def literals(path: Path) -> set[str]:
    """The texts of a module that are names of models."""
    tree = ast.parse(path.read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in MODELS
    }


def test_names_of_models_stand_in_the_table_and_in_their_own_modules_only() -> None:
    found = [
        f"{path.relative_to(LIB)}: {name}"
        for path in sorted(LIB.rglob("*.py"))
        for name in sorted(literals(path))
        if str(path.relative_to(LIB)) not in {own.format(name.replace("-", "_")) for own in OWN}
    ]
    assert set(found) <= SETTINGS

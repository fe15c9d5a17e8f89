"""The table of models: what others read from it."""

import re

import pytest

from emberline.models import LIST_MODELS, MODELS, caption_of, role_of


def test_lists_are_made_by_models_whose_tables_say_from_what() -> None:
    assert LIST_MODELS == ("als", "item-neighbors", "user-neighbors")
    assert {role_of(name) for name in LIST_MODELS} == {"model"}


@pytest.mark.parametrize("name", MODELS)
def test_every_row_has_a_caption(name: str) -> None:
    assert caption_of(name)
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)


def test_a_name_that_is_not_in_the_table_has_no_role_and_no_caption() -> None:
    assert (role_of("psychic"), caption_of("psychic")) == (None, "")

"""The raw sources of a stage: where they are, which of their columns are wanted, and what a
clean row of each is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from emberline.cleaning import attributes, events
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.attributes import AttributesConfig
from emberline.sections.config import Config
from emberline.sections.ratings import RatingsConfig
from emberline.sections.raw import TextConfig
from emberline.sections.recommend import RecommendConfig
from emberline.sections.split import SplitConfig
from emberline.sections.stage import Stage

Clean = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Source:
    """One source of rows, named by its `setting`, such as attributes.items.

    `clean` makes of its rows such that have a column `reason`; rows with one of the reasons
    `expected` are left out on purpose. The n-th of `numbers` is the wanted column `_number_n`. Of
    one that `is_private` nothing is shown.
    """

    setting: str
    config: TextConfig
    wanted: Mapping[str, str | int]
    clean: Clean
    max_rejected: float
    lists: tuple[str, ...] = ()
    expected: frozenset[str] = frozenset()
    numbers: tuple[str, ...] = ()
    is_private: bool = False


def of_stage(config: Config, stage: Stage) -> list[Source]:
    """What the stage reads of raw rows; not pictures, and not what a stage of the pipeline
    makes.
    """
    of_section = _OF_SECTION.get(stage.name)
    found = of_section(stage.settings(config)) if of_section else ()
    return [
        replace(source, is_private=config.privacy is not None)
        for source in found
        if split_dataset_path(source.config.path) is None
    ]


def _ratings(config: RatingsConfig) -> Iterator[Source]:
    clean = partial(events.clean, rules=config.rules())
    expected = frozenset(rule.reason for rule in config.reject)
    yield Source("ratings", config, config.wanted(), clean, config.max_rejected, expected=expected)


def _split(config: SplitConfig) -> Iterator[Source]:
    for setting, pairs in (("pairs", config.pairs), ("validation.pairs", config.validation.pairs)):
        if pairs:
            clean = partial(events.clean, rules=pairs.rules())
            yield Source(f"split.{setting}", pairs, pairs.wanted(), clean, 1.0)


def _attributes(config: AttributesConfig) -> Iterator[Source]:
    for side, sources in (("item", config.items), ("user", config.users)):
        named = config.named(side)
        for place, source in enumerate(sources):
            setting = f"attributes.{side}s" + (f".{place}" if len(sources) > 1 else "")
            clean = partial(attributes.clean, rules=source.rules(named))
            yield Source(
                setting,
                source,
                source.wanted(named),
                clean,
                source.max_rejected,
                source.list_columns(named),
                numbers=named.numbers,
            )


def _lists(config: RecommendConfig) -> Iterator[Source]:
    for setting in ("candidates", "exclude", "users"):
        ids = getattr(config, setting)
        if ids:
            clean = partial(attributes.clean, rules=ids.rules())
            yield Source(f"recommend.{setting}", ids, {"id": ids.column}, clean, 1.0)


_OF_SECTION: dict[str, Callable[[Any], Iterator[Source]]] = {
    "prepare-ratings": _ratings,
    "split-ratings": _split,
    "prepare-items": _attributes,
    "recommend": _lists,
}

"""Raw rows of attributes, read and cleaned where they are read."""

from collections.abc import Collection
from functools import partial

from emberline.cleaning import attributes, shield
from emberline.cleaning.attributes import AttributeRules
from emberline.cleaning.shield import Shield
from emberline.datasets.listing import RawFile
from emberline.flow.rows import Flow, Rows
from emberline.raw.reading import Cleaning, read_raw
from emberline.records.heads import Wanted
from emberline.sections.raw import RawConfig


def read_attributes(
    flow: Flow,
    files: list[RawFile],
    source: RawConfig,
    wanted: Wanted,
    rules: AttributeRules,
    guarded: tuple[Shield, str],
    lists: Collection[str] = (),
) -> Rows:
    """Columns source_file, raw, reason and those of attributes; see `read_raw`. `guarded` is by
    what ids are guarded, and of which side (user or item) they are.
    """
    guard, side = guarded
    task = partial(shield.attributes_task, rules=rules, shield=guard, side=side)
    return read_raw(flow, files, source, wanted, lists, Cleaning(task, attributes.SCHEMA))

"""Raw rows of attributes, read and cleaned where they are read."""

from collections.abc import Collection
from functools import partial

from emberline.cleaning import attributes
from emberline.cleaning.attributes import AttributeRules
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
    lists: Collection[str] = (),
) -> Rows:
    """Columns source_file, raw, reason and those of attributes; see `read_raw`."""
    cleaning = Cleaning(partial(attributes.clean_all, rules=rules), attributes.SCHEMA)
    return read_raw(flow, files, source, wanted, lists, cleaning)

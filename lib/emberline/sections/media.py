"""What the sections of pictures and of sounds have alike: what is read beside their files, and how
much memory a stage takes that reads these.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from emberline.datasets.listing import extension_of
from emberline.sections.artifacts import artifacts_of
from emberline.sections.attributes import attribute_tables
from emberline.sections.stage import Names, Sizes

if TYPE_CHECKING:
    from emberline.sections.config import Config

_KNOWN = 2000  # bytes of what is known of a picture or sound


def tables_read(config: "Config", raw: Names) -> Names:
    """The artifacts that hold the files, and the tables that have indices of items."""
    attributes = (name for name in attribute_tables(config) if name == "item_attributes")
    return (*artifacts_of(raw), *(("items",) if config.ratings else ()), *attributes)


def memory(sizes: Sizes, cores: int, extensions: Collection[str], encoded: int) -> int:
    """What is known of every picture or sound, and what a task has in hand: batches, a row group,
    a large picture, blocks of a long sound. A file with another extension holds several, of so many
    encoded bytes each.
    """
    several = sum(file.size for file in sizes.raw if extension_of(file.name) not in extensions)
    files = len(sizes.raw) + several // encoded
    return (250 << 20) + _KNOWN * files + cores * (150 << 20)

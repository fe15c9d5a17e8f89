"""How much a run reads, as far as that can be told before it starts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from emberline.errors import EmberlineError
from emberline.runs.plan import Raw
from emberline.runs.roots import Roots
from emberline.sections.config import Config
from emberline.sections.stage import Stage


def input_bytes(
    config: Config, roots: Roots, stages: Sequence[Stage], raw: Mapping[str, Raw]
) -> int:
    """The bytes of the stages' raw files, and of those datasets they read that are there now."""
    files = {
        file.uri: file.size
        for listings in raw.values()
        for listing in listings.values()
        for file in listing.files
    }
    names = {name for stage in stages for name in stage.reads(config)}
    return sum(files.values()) + sum(_bytes_of(roots, name) for name in names)


def _bytes_of(roots: Roots, name: str) -> int:
    """Of a dataset; 0 where it is not there, or damaged, which whoever reads it will say."""
    with suppress(EmberlineError):
        if dataset := roots.load(name):
            return sum(part.bytes for part in dataset.manifest.parts)
    return 0

"""Sounds that raw lists, CSV with a column of paths, name."""

from functools import partial

import pyarrow as pa

from emberline.cleaning import listed, texts
from emberline.cleaning.listed import Listed
from emberline.cleaning.media import Decoder
from emberline.datasets import raw_files
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task
from emberline.errors import ConfigError
from emberline.flow.rows import Flow, Rows
from emberline.raw import reading
from emberline.records import text
from emberline.sections.raw import RawConfig
from emberline.sections.sounds import SoundColumnsConfig, SoundNamesConfig, SoundsConfig


def listed_rows(
    flow: Flow, files: list[RawFile], config: SoundsConfig, columns: SoundColumnsConfig, of: Decoder
) -> tuple[Rows, Task, int]:
    """The rows of lists, shared out, what decodes the files that they name, and how many they are.
    Raises as `read_raw`.
    """
    names = config.names or SoundNamesConfig()
    if names.label and columns.label:
        raise ConfigError("sounds.columns.label and sounds.names.label both say the label")
    raw = RawConfig(path=config.path, format="csv")
    wanted = {name: column for name, column in columns if column is not None}
    folders = {file.relative: str(file.path.parent) for file in files}
    clean = partial(texts.clean, rules=config.text_rules())
    test = names.test if config.split == "auto" else None
    said = Listed(folders, clean, names.label, test)
    decode = partial(listed.decode_listed, decoder=of, listed=said, read=raw_files.map_input)
    count = reading.count_raw(flow, files, raw, wanted)
    schema = pa.schema([("block", pa.int32()), *text.schema(wanted)])
    spread = partial(listed.spread, blocks=flow.parts)
    rows = reading.read_raw(flow, files, raw, wanted).map(spread, schema)
    return rows.together(flow.parts), decode, count

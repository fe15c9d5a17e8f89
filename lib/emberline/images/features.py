"""What models without a network see of pictures."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.images.pixels import directions, histograms, pixel_array, pooled

_POOLED_SIDE = 16
_LEVELS = 4


def plain_features(
    batches: Iterable[pa.RecordBatch], shape: tuple[int, int, int]
) -> Iterator[pa.RecordBatch]:
    """Columns item, split and pixels to item and those of cf/plain's SEEN, of the pictures that are
    for training, choosing or testing.
    """
    for batch in batches:
        batch = batch.filter(pc.not_equal(batch["split"], "none"))
        pixels = pixel_array(batch["pixels"]).reshape(-1, *shape)
        averaged = pooled(pixels, _POOLED_SIDE)
        shares = histograms(pixels, _LEVELS)
        columns = [averaged, directions(averaged), directions(shares), np.sqrt(shares)]
        lists = [pa.array(list(rows), pa.list_(pa.float32())) for rows in columns]
        names = ["item", "split", "pixels", "pixel_direction", "colour_direction", "colours"]
        yield pa.record_batch([batch["item"], batch["split"], *lists], names)

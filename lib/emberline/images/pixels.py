"""Pixels in Arrow columns and in batches: binary to arrays, and the random changes that
training makes to them.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float32, Int64, UInt64

Pixels = npt.NDArray[np.uint8]

_ROWS = 3  # what is drawn: datasets.sharding has 1 and 2


def pixel_array(column: pa.Array) -> Pixels:
    """(rows, bytes per picture) uint8, without a copy, of a binary column of equally long
    values without nulls.
    """
    if len(column) == 0:
        return np.empty((0, 0), np.uint8)
    offsets = np.frombuffer(
        column.buffers()[1], np.int64 if pa.types.is_large_binary(column.type) else np.int32
    )
    offsets = offsets[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(len(column), -1)


def pixel_column(pixels: Pixels, is_there: Bool) -> pa.Array:
    """A binary column of the rows of (rows, bytes per picture) uint8, without a copy, null
    where a picture is not there.
    """
    offsets = np.arange(len(pixels) + 1, dtype=np.int32) * np.int32(pixels.shape[1])
    bits = np.packbits(is_there, bitorder="little")
    buffers = [
        pa.py_buffer(bits),
        pa.py_buffer(offsets),
        pa.py_buffer(np.ascontiguousarray(pixels)),
    ]
    return pa.Array.from_buffers(pa.binary(), len(pixels), buffers)


def channel_sums(pixels: Pixels, channels: int) -> tuple[Int64, Int64]:
    """(rows, channels) each: of every picture the sum of a channel's levels, and of their
    squares, exactly.
    """
    planes = np.ascontiguousarray(pixels.reshape(len(pixels), -1, channels).transpose(0, 2, 1))
    return planes.sum(axis=2, dtype=np.int64), np.square(planes, dtype=np.uint16).sum(
        axis=2, dtype=np.int64
    )


def pooled(pixels: Pixels, side: int) -> Float32:
    """(n, features), 0..1: pictures (n, h, w, c) averaged over rectangles, at most `side` of
    them across and down.
    """
    count, height, width, channels = pixels.shape
    down, across = -(-height // side), -(-width // side)
    cut = pixels[:, : height // down * down, : width // across * across]
    blocks = cut.reshape(count, height // down, down, width // across, across, channels)
    means: Float32 = blocks.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return means.reshape(count, -1)


def histograms(pixels: Pixels, levels: int) -> Float32:
    """(n, levels^c): the share of each colour in pictures (n, h, w, c), every channel cut into
    `levels` equal parts.
    """
    count, channels = len(pixels), pixels.shape[3]
    levels_of = pixels.reshape(count, -1, channels).astype(np.int64) * levels // 256
    colour = levels_of @ levels ** np.arange(channels)
    bins = levels**channels
    counts = np.bincount(
        (colour + bins * np.arange(count)[:, None]).ravel(), minlength=count * bins
    )
    shares: Float32 = (counts.reshape(count, bins) / colour.shape[1]).astype(np.float32)
    return shares


def directions(rows: Float32) -> Float32:
    """Rows (n, d) less their means, divided by their lengths, so that products are
    correlations; zeros for a constant row.
    """
    # exactly zero for a constant row
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: Float32 = (centred / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def row_keys(seed: int, epoch: int, rows: Int64) -> UInt64:
    """(rows,) 64 random bits of each row's own, that depend on (seed, epoch, row) only:
    SplitMix64 (Steele et al. 2014).
    """
    start = np.random.SeedSequence([seed, epoch, _ROWS]).generate_state(1, np.uint64)
    return hashing.finish(start + rows.astype(np.uint64) * hashing.STEP)


def augment(pixels: Pixels, keys: UInt64, flip: bool, shift: int) -> Pixels:
    """(n, h, w, c): each picture mirrored or not, and moved by up to `shift` pixels, as its key
    (n,) says.

    What a move uncovers repeats the picture's edge.
    """
    if not flip and not shift:
        return pixels
    changed: Pixels = _moved(pixels, keys, shift) if shift else pixels.copy()
    if flip:
        mirrored = np.flatnonzero(keys & np.uint64(1))
        # by itself: pixels of three bytes are copied one by one
        for channel in range(pixels.shape[3]):
            changed[mirrored, :, :, channel] = changed[mirrored, :, ::-1, channel]
    return changed


def _moved(pixels: Pixels, keys: UInt64, shift: int) -> Pixels:
    count, height, width, channels = pixels.shape
    reach = np.uint64(2 * shift + 1)
    down, right = (
        ((keys >> np.uint64(bits)) % reach).astype(np.int64)[:, None] for bits in (8, 32)
    )
    padded = np.empty((count, height, width + 2 * shift, channels), np.uint8)
    padded[:, :, shift : shift + width] = pixels
    padded[:, :, :shift], padded[:, :, shift + width :] = pixels[:, :, :1], pixels[:, :, -1:]
    windows = np.lib.stride_tricks.as_strided(  # every line from each of its first pixels on
        padded, (count, height, int(reach), width * channels), padded.strides, writeable=False
    )
    lines = np.clip(np.arange(height) + down - shift, 0, height - 1)
    moved: Pixels = windows[np.arange(count)[:, None], lines, right].reshape(pixels.shape)
    return moved

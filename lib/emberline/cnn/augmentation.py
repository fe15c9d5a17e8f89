"""The random changes that suit what a network is trained on: pictures, or spectrograms."""

from collections.abc import Callable
from functools import partial

from emberline.datasets.facts import Spectrograms
from emberline.datasets.manifest import Manifest
from emberline.images import pixels
from emberline.images.pixels import Pixels
from emberline.numeric.arrays import UInt64
from emberline.sections.cnn import InputConfig
from emberline.sounds import augmentation
from emberline.sounds.augmentation import Changes

Augment = Callable[[Pixels, UInt64], Pixels]


def augmentation_of(shards: Manifest, config: InputConfig) -> Augment:
    """What changes (n, height, width, channels) of some shards, each row as its key (n,) says."""
    heard = shards.given(Spectrograms)
    if heard is None:
        return partial(pixels.augment, flip=bool(config.flip), shift=config.shift)
    changes = Changes(
        config.shift,
        config.time_mask,
        config.band_mask,
        config.gain,
        heard.decibels,
        config.band_shift,
    )
    return partial(augmentation.augment, changes=changes)

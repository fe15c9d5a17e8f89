"""Sounds as pictures of themselves, and as what can be played of them."""

from dataclasses import dataclass

from emberline.numeric.arrays import Float32, UInt8
from emberline.sounds import clips
from emberline.sounds.decode import Clip
from emberline.sounds.spectrogram import Mel, levels


@dataclass(frozen=True)
class Recipe:
    """What is kept of a sound, how that is transformed, and how many seconds can be played."""

    clip: Clip
    mel: Mel
    played: float

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and channels of every picture."""
        return self.mel.bands, self.mel.frames(self.clip.samples), 1

    @property
    def clip_bytes(self) -> int:
        """How large what can be played is, at most."""
        return clips.bytes_of(min(self.played, self.clip.seconds)) if self.played else 0


def pictures(sounds: Float32, recipe: Recipe) -> tuple[UInt8, list[bytes] | None]:
    """The spectrograms (n, bands, frames, 1) of sounds (n, samples), and a WAV file of the first
    seconds of each, if any are to be played.
    """
    pixels = levels(sounds, recipe.mel)[..., None]
    if not recipe.played:
        return pixels, None
    return pixels, clips.playable(sounds, recipe.clip.rate, recipe.played)

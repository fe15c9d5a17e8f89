"""An encoded sound as a picture of itself, and as what can be played of it."""

from dataclasses import dataclass

from emberline.numeric.arrays import UInt8
from emberline.sounds import clips
from emberline.sounds.decode import Clip, decode
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


def picture(content: bytes | memoryview, recipe: Recipe) -> tuple[UInt8, bytes | None]:
    """The spectrogram (bands, frames, 1) of an encoded sound, and a WAV file of its first seconds,
    if any are to be played. Raises UnusableSoundError.
    """
    samples = decode(content, recipe.clip)
    pixels = levels(samples[None], recipe.mel)[0, :, :, None]
    if not recipe.played:
        return pixels, None
    return pixels, clips.playable(samples, recipe.clip.rate, recipe.played)

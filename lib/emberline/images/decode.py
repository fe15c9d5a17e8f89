"""Pictures as fixed-size uint8 arrays, or a reason why not.

Brightness is taken as stored. Grey of 16 bits loses its lower 8; Pillow's mode I counts as 16 bits
too, since 16-bit PGM files come in it; floating point goes from black at 0 to white at 1. Numbers
outside these ranges are refused, not clipped. What is transparent shows white.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from simplejpeg import decode_jpeg, decode_jpeg_header

from emberline.errors import UnusableError
from emberline.images.formats import FORMATS
from emberline.images.silence import WARNINGS_SILENCED

_JPEG, _START_OF_SCAN, _FILL = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xff"
# too long to be an accident
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", _JPEG, b"GIF8", b"II*\0", b"MM\0*")

# averages when shrinking, is smooth when enlarging, and rings less than Lanczos
_BICUBIC = Image.Resampling.BICUBIC
_ORIENTATION = 0x0112  # the EXIF tag
# simplejpeg's names for Pillow's modes; CMYK is left to Pillow
_COLOURS = {"L": "GRAY", "RGB": "RGB"}
# Pillow's modes for what simplejpeg says of a header
_MODES = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB"}
# EXIF data or XMP; what lists several pictures
_APP1, _APP2, _SEVERAL = b"\xff\xe1", b"\xff\xe2", b"MPF\0"
_PILLOWS_LIMIT = 357_913_940  # pixels
_BAND_PIXELS = 1 << 20
# pixels; of what is smaller, several of libjpeg's scales have the size that Pillow's has
_FAST_SIDE = 16
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Shape:
    """What pictures become: height, width in pixels, channels 1 (grey) or 3 (RGB).

    fit: "crop" covers the target and cuts the middle, "pad" is contained in it, centred on white,
    "stretch" ignores proportions.
    max_pixels: larger pictures are refused before they are decoded; Pillow by itself refuses more
    than 357,913,940.
    """

    height: int
    width: int
    channels: int
    fit: Literal["crop", "pad", "stretch"]
    max_pixels: int

    @property
    def size(self) -> tuple[int, int, int]:
        """(height, width, channels)"""
        return self.height, self.width, self.channels


def decode(content: bytes, shape: Shape) -> NDArray[np.uint8]:
    """(height, width, channels): the picture, or the first frame, in a file's bytes, turned upright
    as its EXIF data say.

    Raises UnusableError whatever is wrong with the bytes.
    """
    if not content:
        raise UnusableError("empty file")
    with WARNINGS_SILENCED:
        try:
            picture = flatten(_read(content, shape))
        except UnusableError:
            raise
        # Pillow's readers promise no type of exception for bytes that break the rules
        except Exception as error:
            raise UnusableError(_reason(error, content, shape)) from error
    return fit_picture(picture, shape)


def _read(content: bytes, shape: Shape) -> Image.Image:
    """The picture, decoded and upright, in any mode; its size is checked before it is decoded."""
    # JPEG decodes straight to a half, a quarter or an eighth, which is faster. Asked for a square
    # of twice the target's longer
    # side, neither side gets shorter than that, so that whatever the fit and the turn, bicubic
    # still shrinks by two or more. Pictures of less than four times the target are decoded whole.
    side = 2 * max(shape.height, shape.width)
    plain = _plain(content, shape, side)
    if plain is not None:
        return plain
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        if picture.width * picture.height > shape.max_pixels:
            raise UnusableError(_too_large(shape))
        picture.draft(None, (side, side))
        fast = _fast(content, picture.mode, picture.size) if picture.format == "JPEG" else None
        loaded = fast or _loaded(picture, content)
        method = _turn(picture)
        return loaded if method is None else loaded.transpose(method)


def _plain(content: bytes, shape: Shape, side: int) -> Image.Image | None:
    """A JPEG file of one picture that is upright, at the scale of Pillow's `draft`, None for all
    others.

    Pillow's own reading of a header takes a tenth as long as the decoding of a small photo.
    """
    if not _is_plain(content):
        return None
    with suppress(ValueError):
        height, width, colours, _ = decode_jpeg_header(content)
        if colours in _MODES and height * width <= min(shape.max_pixels, _PILLOWS_LIMIT):
            scale = next((scale for scale in (8, 4, 2) if min(height, width) // side >= scale), 1)
            return _fast(content, _MODES[colours], (-(-width // scale), -(-height // scale)))
    return None


def _is_plain(content: bytes) -> bool:
    """Whether a JPEG file's segments, up to the first scan, hold nothing that may turn it, nor the
    list of several pictures.

    Segments are passed over by their lengths: a thumbnail in one has marks of its own.
    """
    at = 2
    while content.startswith(b"\xff", at) and at + 4 <= len(content):
        kind = content[at : at + 2]
        if kind in (_APP1, _FILL) or (kind == _APP2 and content.startswith(_SEVERAL, at + 4)):
            return False
        if kind == _START_OF_SCAN:
            return content.startswith(_JPEG)
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return False


def _fast(content: bytes, mode: str, size: tuple[int, int]) -> Image.Image | None:
    """A JPEG file as Pillow would decode it at a size (width, height) of its own; None for what
    Pillow has to judge itself.

    Both are libjpeg-turbo with its exact transform. simplejpeg writes three bytes a pixel where
    Pillow unpacks rows to four, and refuses what libjpeg warns of; of that Pillow takes some and
    refuses some.
    """
    if mode not in _COLOURS or min(size) < _FAST_SIDE:
        return None
    width, height = size
    with suppress(ValueError):
        # or it might be larger than allowed
        if decode_jpeg_header(content, height, width)[:2] == (height, width):
            pixels = decode_jpeg(content, _COLOURS[mode], min_height=height, min_width=width)
            return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
    return None


def _loaded(picture: Image.Image, content: bytes) -> Image.Image:
    picture.load()
    if picture.format == "PNG":
        _check_sums(content)
        _cut_transparent_colour(picture, content)
    return picture


def _check_sums(content: bytes) -> None:
    """Raises what Pillow raises for a chunk of a PNG file whose checksum is wrong; decoding
    alone skips those of the pixels.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        picture.verify()


def _cut_transparent_colour(picture: Image.Image, content: bytes) -> None:
    """Cuts the colour that stands for transparent to 8 bits, as the pixels were; Pillow 13
    compares them with its lower bytes.
    """
    depth = content[24]  # bits per sample, always at this place
    if depth == 16 and picture.mode == "RGB" and "transparency" in picture.info:
        picture.info["transparency"] = tuple(value >> 8 for value in picture.info["transparency"])


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """How to turn the picture as its EXIF orientation says; EXIF data that cannot be read are
    no reason to lose the pixels.
    """
    try:
        return _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:
        return None


def _reason(error: Exception, content: bytes, shape: Shape) -> str:
    """Why Pillow gave up, in few words and without what is particular to the file."""
    if isinstance(error, UnidentifiedImageError):
        return "damaged: header" if content.startswith(_SIGNATURES) else "not a picture"
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(shape)
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return "damaged: truncated"
    kind = type(error)
    return (
        f"damaged: {kind.__name__}"
        if kind.__module__ == "builtins"
        else f"damaged: {kind.__module__}.{kind.__name__}"
    )


def _too_large(shape: Shape) -> str:
    return f"larger than {min(shape.max_pixels, _PILLOWS_LIMIT):,} pixels"


def flatten(picture: Image.Image) -> Image.Image:
    """A picture of any mode as L (8-bit grey) or RGB, on white where it is transparent.

    Raises UnusableError where numbers cannot be read as brightness.
    """
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    # Pillow converts these, of premultiplied colours, to nothing but their straight forms
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    if picture.has_transparency_data:
        return _on_white(picture)
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Modes I;16 (either byte order), I and F as L, or as LA where one brightness stands for
    transparent.
    """
    values = np.asarray(picture)
    white = 1 if picture.mode == "F" else 65_535
    # which NaN is not, either
    if values.size and not (values.min() >= 0 and values.max() <= white):
        raise UnusableError(f"brightness outside 0 to {white:,}")
    levels = np.empty(values.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // max(picture.width, 1))
    for top in range(0, len(values), rows):
        band = values[top : top + rows]
        levels[top : top + rows] = np.rint(band * 255) if picture.mode == "F" else band >> 8
    grey = Image.fromarray(levels)
    if "transparency" not in picture.info:
        return grey
    opaque = np.where(values == picture.info["transparency"], np.uint8(0), np.uint8(255))
    return Image.merge("LA", (grey, Image.fromarray(opaque)))


def _on_white(picture: Image.Image) -> Image.Image:
    """A band at a time: whole, a picture of 50 million pixels would take 800 MB on the way."""
    flat = Image.new("RGB", picture.size)
    rows = max(1, _BAND_PIXELS // max(picture.width, 1))
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height))).convert(
            "RGBA"
        )
        canvas = Image.new("RGBA", band.size, "white")
        canvas.alpha_composite(band)
        flat.paste(canvas.convert("RGB"), (0, top))
    return flat


def fit_picture(picture: Image.Image, shape: Shape) -> NDArray[np.uint8]:
    """(height, width, channels): a picture of any mode, resized; one that has the size already
    keeps its pixels exactly.

    Raises UnusableError if a side has no pixels.
    """
    if 0 in picture.size:
        raise UnusableError("no pixels")
    picture, mode = flatten(picture), "L" if shape.channels == 1 else "RGB"
    # which copies, also to the same mode
    picture = picture if picture.mode == mode else picture.convert(mode)
    fitted = {"crop": _crop, "pad": _pad, "stretch": _stretch}[shape.fit](
        picture, shape.width, shape.height
    )
    return np.frombuffer(fitted.tobytes(), np.uint8).reshape(
        shape.height, shape.width, shape.channels
    )


def _stretch(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture.resize((width, height), _BICUBIC)


def _crop(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part of the target's proportions, cut from the middle; to whole pixels of the
    target, lest the cut blurs.
    """
    scale = min(picture.width / width, picture.height / height)
    left = round((picture.width / scale - width) / 2) * scale
    top = round((picture.height / scale - height) / 2) * scale
    return picture.resize(
        (width, height), _BICUBIC, (left, top, left + width * scale, top + height * scale)
    )


def _pad(picture: Image.Image, width: int, height: int) -> Image.Image:
    scale = max(picture.width / width, picture.height / height)
    inner = picture.resize(
        (max(1, round(picture.width / scale)), max(1, round(picture.height / scale))), _BICUBIC
    )
    canvas = Image.new(picture.mode, (width, height), "white")
    canvas.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return canvas


def fit_array(pixels: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """(height, width, channels), a copy: pixels (h, w) of grey or (h, w, 3) of RGB, resized like
    pictures from files.

    Raises UnusableError if a side has no pixels, ValueError for an array of other
    dimensions.
    """
    if pixels.ndim != 2 and pixels.shape[2:] != (3,):
        raise ValueError(f"expected pixels (h, w) or (h, w, 3), found {pixels.shape}")
    whole = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if whole.shape == (shape.height, shape.width, shape.channels):
        return whole.copy()
    return fit_picture(Image.fromarray(pixels), shape)


def fit_arrays(pixels: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """(n, height, width, channels): what `fit_array` makes of each of (n, h, w) or (n, h, w,
    3); at once if they fit.
    """
    whole = pixels[..., None] if pixels.ndim == 3 else pixels
    if whole.shape[1:] == (shape.height, shape.width, shape.channels):
        return np.ascontiguousarray(whole)
    return np.stack([fit_array(np.ascontiguousarray(picture), shape) for picture in pixels])

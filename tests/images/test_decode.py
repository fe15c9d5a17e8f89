import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from emberline.errors import UnusableError
from emberline.images.decode import (
    Shape,
    decode,
    fit_array,
    fit_picture,
    flatten,
)

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (12, 9, 3), dtype=np.uint8)
SMOOTH = Image.linear_gradient("L").resize((90, 60))


def shape(
    height: int, width: int, channels: int = 3, fit: Any = "stretch", max_pixels: int = 50_000_000
) -> Shape:
    return Shape(height, width, channels, fit, max_pixels)


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file written by hand: IHDR, then the given chunks, then IEND."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts.append(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )
    return b"".join(parts)


def on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def reason(content: bytes, wanted: Shape | None = None) -> str:
    with pytest.raises(UnusableError) as caught:
        decode(content, wanted or shape(8, 8))
    assert len(caught.value.args) == 1
    return str(caught.value)


# Real files


def test_pngsuite_decodes_to_what_pillow_gives_and_its_damaged_files_do_not(
    shared_data: Path,
) -> None:
    files = sorted((shared_data / "pngsuite").glob("*.png"))
    refused = set()
    for file in files:
        if file.name.startswith("x"):
            refused.add(reason(file.read_bytes()))
            continue
        with Image.open(file) as picture:
            expected = np.asarray(on_white(_reduced(picture)))
        np.testing.assert_array_equal(
            decode(file.read_bytes(), shape(*expected.shape[:2])), expected, err_msg=file.name
        )
    assert len(files) == 175
    assert refused == {
        "not a picture",
        "damaged: header",
        "damaged: SyntaxError",
        "damaged: OSError",
    }


def _reduced(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits by hand, from the raw values: the upper byte, and transparent where the
    raw value says so.
    """
    if not picture.mode.startswith("I"):
        return picture
    raw = np.asarray(picture)
    alpha = np.where(raw == picture.info.get("transparency", -1), 0, 255)
    return Image.fromarray(np.stack([raw >> 8, alpha], axis=-1).astype(np.uint8), "LA")


def test_real_photos_decode_with_every_fit(shared_data: Path) -> None:
    files = sorted((shared_data / "flower-photos").glob("*/*.jpg"))
    assert len(files) == 298
    for number, file in enumerate(files):
        pixels = decode(
            file.read_bytes(), shape(64, 64, fit=("crop", "pad", "stretch")[number % 3])
        )
        assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8 and pixels.std() > 5


# Modes


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_becomes_the_colours_it_was_made_from(mode: str) -> None:
    colours = Image.fromarray(
        np.kron(
            [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.ones((4, 4, 1))
        ).astype("u1")
    )
    grey = (
        colours.convert("L").point(lambda level: 255 * (level > 100))
        if mode in ("1", "L", "LA", "La")
        else colours
    )
    picture = grey.convert("LA").convert("La") if mode == "La" else grey.convert(mode)
    got = fit_picture(picture, shape(8, 8)).astype(int)
    tolerance = {"YCbCr": 2, "HSV": 1}.get(mode, 0)
    assert np.abs(got - np.asarray(grey.convert("RGB"))).max() <= tolerance


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("1", "PNG"),
        ("L", "BMP"),
        ("LA", "PNG"),
        ("P", "GIF"),
        ("RGB", "PPM"),
        ("RGBA", "WEBP"),
        ("CMYK", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_every_format_gives_what_pillow_gives(mode: str, format: str) -> None:
    content = saved(
        Image.fromarray(NOISE).convert(mode),
        format,
        **({"lossless": True} if format == "WEBP" else {}),
    )
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode(content, shape(12, 9)), expected)


def test_lab_is_seen_as_light() -> None:
    middle = Image.frombytes("LAB", (1, 1), bytes([128, 0, 0]))
    got = fit_picture(middle, shape(1, 1)).ravel()
    # L* of 50.2 has 18.6 % of white's luminance, sRGB 119
    assert np.abs(got.astype(int) - 119).max() <= 2


def test_half_transparent_red_is_pink_on_white_in_straight_and_premultiplied_colours() -> None:
    straight = Image.new("RGBA", (2, 2), (255, 0, 0, 128))
    for picture in (straight, straight.convert("RGBa")):
        assert fit_picture(picture, shape(2, 2))[0, 0].tolist() == [255, 127, 127]
    black = Image.new("LA", (2, 2), (0, 128))
    for picture in (black, black.convert("La")):
        assert fit_picture(picture, shape(2, 2))[0, 0].tolist() == [127, 127, 127]


def test_grey_with_alpha_is_composited_on_white_and_stays_grey() -> None:
    picture = Image.merge(
        "LA", (Image.new("L", (2, 1), 100), Image.fromarray(np.array([[0, 255]], np.uint8)))
    )
    assert decode(saved(picture, "PNG"), shape(1, 2, channels=1)).ravel().tolist() == [255, 100]


def test_the_transparent_entry_of_a_palette_is_white() -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2])
    by_index = decode(saved(picture, "PNG", transparency=1), shape(1, 3))
    by_table = decode(saved(picture, "PNG", transparency=bytes([255, 0, 255])), shape(1, 3))
    assert by_index.tolist() == by_table.tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    picture.putalpha(Image.fromarray(np.array([[255, 0, 255]], np.uint8)))
    assert picture.mode == "PA" and fit_picture(picture, shape(1, 3)).tolist() == by_index.tolist()


def test_a_transparent_grey_is_white() -> None:
    content = png(
        struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0),
        (b"tRNS", b"\0\7"),
        (b"IDAT", zlib.compress(b"\0\7\x08")),
    )
    assert decode(content, shape(1, 2, channels=1)).ravel().tolist() == [255, 8]


def test_a_transparent_colour_of_16_bits_is_white() -> None:
    colours = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x3412, 0x7856, 0xBC9A)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    content = png(header, (b"tRNS", colours[:6]), (b"IDAT", zlib.compress(b"\0" + colours)))
    assert decode(content, shape(1, 2)).tolist() == [[[255, 255, 255], [0x34, 0x78, 0xBC]]]


def test_16_bit_grey_loses_its_lower_byte_and_is_not_clipped() -> None:
    values = [0, 255, 256, 0x1234, 0x8000, 0xFFFF]
    header = struct.pack(">IIBBBBB", 6, 1, 16, 0, 0, 0, 0)
    body = (b"IDAT", zlib.compress(b"\0" + struct.pack(">6H", *values)))
    assert decode(png(header, body), shape(1, 6, channels=1)).ravel().tolist() == [
        0,
        0,
        1,
        0x12,
        0x80,
        0xFF,
    ]
    transparent = png(header, (b"tRNS", b"\x12\x34"), body)
    assert decode(transparent, shape(1, 6, channels=1)).ravel().tolist() == [
        0,
        0,
        1,
        255,
        0x80,
        0xFF,
    ]
    pgm = b"P5 6 1 65535\n" + struct.pack(">6H", *values)
    assert decode(pgm, shape(1, 6, channels=1)).ravel().tolist() == [0, 0, 1, 0x12, 0x80, 0xFF]


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bit_grey_of_either_byte_order_is_read(mode: str) -> None:
    picture = Image.frombytes(
        mode, (2, 1), struct.pack("<2H" if mode == "I;16" else ">2H", 0x1234, 0xFE00)
    )
    assert decode(saved(picture, "TIFF"), shape(1, 2, channels=1)).ravel().tolist() == [0x12, 0xFE]


def test_floating_point_goes_from_black_at_0_to_white_at_1_and_anything_else_is_refused() -> None:
    def tiff(*values: float) -> bytes:
        return saved(Image.fromarray(np.array([values], np.float32)), "TIFF")

    assert decode(tiff(0, 0.5, 1), shape(1, 3, channels=1)).ravel().tolist() == [0, 128, 255]
    assert (
        reason(tiff(0, 200))
        == reason(tiff(-0.1))
        == reason(tiff(float("nan")))
        == "brightness outside 0 to 1"
    )


def test_whole_numbers_beyond_16_bits_are_refused() -> None:
    for value in (-1, 65_536):
        picture = Image.fromarray(np.array([[value]], np.int32))
        assert reason(saved(picture, "TIFF")) == "brightness outside 0 to 65,535"


def test_a_cmyk_jpeg_with_adobe_s_inversion_has_the_right_colours() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    content = saved(red, "JPEG", quality=95)
    assert b"Adobe" in content  # which says that the file holds the inks inverted
    assert np.abs(decode(content, shape(16, 16)).astype(int) - [255, 0, 0]).max() <= 3


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        content = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert (decode(content, shape(4, 5)) == [255, 0, 0]).all(), format


# Orientation and size


def test_exif_orientation_is_applied() -> None:
    upright = np.array([[1, 2, 3], [4, 5, 6]], np.uint8) * 40
    # by the tag's definition: which sides of the scene the first row and the first column show
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }
    for orientation, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        for format in ("PNG", "TIFF"):
            content = saved(Image.fromarray(np.ascontiguousarray(pixels)), format, exif=exif)
            assert decode(content, shape(2, 3, channels=1))[..., 0].tolist() == upright.tolist(), (
                orientation,
                format,
            )


def test_broken_exif_data_do_not_cost_the_picture() -> None:
    content = saved(Image.fromarray(NOISE), "PNG", exif=b"Exif\0\0XX*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(content, shape(12, 9)), NOISE)


def test_crop_covers_the_target_and_cuts_the_middle() -> None:
    pixels = np.zeros((4, 10), np.uint8)
    pixels[:, 3:7] = np.arange(16).reshape(4, 4)
    assert (
        fit_array(pixels, shape(4, 4, channels=1, fit="crop"))[..., 0].tolist()
        == np.arange(16).reshape(4, 4).tolist()
    )
    assert (
        fit_array(pixels.T.copy(), shape(4, 4, channels=1, fit="crop"))[..., 0].tolist()
        == np.arange(16).reshape(4, 4).T.tolist()
    )
    odd = fit_array(pixels[:, :9], shape(4, 4, channels=1, fit="crop"))[..., 0]
    # half a pixel off the middle rather than blurred
    assert odd.tolist() == pixels[:, 2:6].tolist()


def test_crop_equals_scaling_first_and_cutting_then() -> None:
    whole = np.asarray(SMOOTH.resize((45, 30), Image.Resampling.BICUBIC)).astype(int)
    cut = fit_picture(SMOOTH, shape(30, 31, channels=1, fit="crop"))[..., 0]
    assert np.abs(cut - whole[:, 7:38]).max() <= 1


def test_pad_is_contained_in_the_target_and_centred_on_white() -> None:
    black = np.zeros((2, 4), np.uint8)
    assert fit_array(black, shape(8, 8, channels=1, fit="pad"))[..., 0].tolist() == [
        *[[255] * 8] * 2,
        *[[0] * 8] * 4,
        *[[255] * 8] * 2,
    ]


def test_stretch_ignores_proportions() -> None:
    pixels = np.repeat(np.array([[0, 200]], np.uint8), 50, axis=1)
    columns = fit_array(pixels, shape(6, 5, channels=1))[..., 0]
    assert (columns == columns[0]).all()
    assert columns[0, [0, 2, 4]].tolist() == [0, 100, 200]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_the_target_s_size_keeps_its_pixels(fit: str) -> None:
    np.testing.assert_array_equal(
        decode(saved(Image.fromarray(NOISE), "PNG"), shape(12, 9, fit=fit)), NOISE
    )
    np.testing.assert_array_equal(fit_array(NOISE, shape(12, 9, fit=fit)), NOISE)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1), (2, 997), (65, 63), (29, 500)])
def test_no_proportions_are_too_thin(size: tuple[int, int], fit: str) -> None:
    content = saved(Image.new("RGB", size, (10, 20, 30)), "PNG")
    for target in ((64, 64), (1, 1), (1, 300), (300, 1), (49, 7), (7, 7)):
        pixels = decode(content, shape(*target, fit=fit))
        assert pixels.shape == (*target, 3)
        assert (pixels == [10, 20, 30]).all(axis=-1).any()
        assert fit == "pad" or (pixels == [10, 20, 30]).all()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_large_jpeg_decoded_at_reduced_scale_looks_the_same(fit: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    waves = np.sin(np.arange(1000) / 40)[:, None] * np.cos(np.arange(700) / 60) * 100 + 128
    content = saved(Image.fromarray(waves.astype(np.uint8)), "JPEG", quality=95, exif=exif)
    whole = Image.open(io.BytesIO(content))
    turned = whole.transpose(Image.Transpose.ROTATE_270) if orientation == 6 else whole
    difference = decode(content, shape(48, 32, 1, fit)).astype(int) - fit_picture(
        turned, shape(48, 32, 1, fit)
    )
    assert np.abs(difference).max() <= 3


def test_arrays_change_between_grey_and_colour() -> None:
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    assert fit_array(grey, shape(2, 2)).tolist() == np.stack([grey] * 3, axis=-1).tolist()
    red = np.full((2, 2, 3), [255, 0, 0], np.uint8)
    assert fit_array(red, shape(2, 2, channels=1)).tolist() == [[[76]] * 2] * 2  # 0.299 * 255


def test_an_array_of_the_target_s_shape_is_copied() -> None:
    fitted = fit_array(NOISE, shape(12, 9))
    assert not np.shares_memory(fitted, NOISE) and fitted.flags.writeable


def test_an_array_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(4, 4, 2\)"):
        fit_array(np.zeros((4, 4, 2), np.uint8), shape(4, 4))
    with pytest.raises(UnusableError, match="no pixels"):
        fit_array(np.zeros((0, 4), np.uint8), shape(4, 4))


# JPEG by simplejpeg, beside the same by Pillow alone

PHOTO = np.asarray(
    Image.effect_mandelbrot((333, 217), (-2, -1.3, 1, 1.3), 100).convert("RGB")
) // 2 + RNG.integers(0, 128, (217, 333, 3), dtype=np.uint8)


def jpeg(picture: np.ndarray | Image.Image = PHOTO, mode: str = "RGB", **options: Any) -> bytes:
    return saved(
        (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).convert(mode),
        "JPEG",
        **options,
    )


def rotated(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def both(content: bytes, wanted: Shape) -> tuple[Any, Any]:
    """What becomes of the bytes, pixels or a reason, with simplejpeg and without."""
    outcomes: list[Any] = []
    for refuse_all in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if refuse_all:
                patch.setattr("emberline.images.decode._FAST_SIDE", 1 << 30)
            try:
                outcomes.append(decode(content, wanted).tobytes())
            except UnusableError as error:
                outcomes.append(str(error))
    return outcomes[0], outcomes[1]


def goes_fast(content: bytes) -> bool:
    """Whether Pillow is spared decoding it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "emberline.images.decode._loaded",
            lambda picture, content: pytest.fail("left to Pillow"),
        )
        try:
            decode(content, shape(32, 32))
        except pytest.fail.Exception:
            return False
        return True


def filled() -> bytes:
    """A fill byte, as ISO 10918-1 B.1.1.2 allows, before EXIF data; read as a mark, it leads to
    a false start of scan.
    """
    start = b"\xff\xd8\xff" + segment(0xE1, rotated(6).tobytes())
    comment = bytearray(60_000)
    false_scan = 2 + 2 + 0xE100 - len(start) - 4
    comment[false_scan : false_scan + 2] = b"\xff\xda"
    return start + segment(0xFE, bytes(comment)) + jpeg()[2:]


FAST = {
    "plain": jpeg(),
    "progressive": jpeg(progressive=True),
    "grey": jpeg(mode="L"),
    "4:4:4": jpeg(subsampling=0, quality=97),
    "4:2:2": jpeg(subsampling=1),
    "4:2:0": jpeg(subsampling=2, quality=30),
    "RGB without a transform": jpeg(keep_rgb=True),
    "restart markers": jpeg(restart_marker_blocks=3),
    "optimised": jpeg(optimize=True),
    "an ICC profile": jpeg(icc_profile=b"profile" * 9_000),
    "a comment": jpeg(comment=b"hello"),
    "turned": jpeg(exif=rotated(6)),
    "mirrored": jpeg(exif=rotated(7)),
    "broken EXIF": jpeg(exif=b"Exif\0\0XX*\0\xff\xff\xff\xff"),
    "garbage at the end": jpeg() + b"garbage" * 100,
    "two pictures": jpeg() + jpeg(mode="L"),
    "a thumbnail": jpeg()[:2] + segment(0xE3, jpeg(PHOTO[:40, :40])) + jpeg()[2:],
    "turned after a thumbnail": (
        jpeg()[:2] + segment(0xE3, jpeg(PHOTO[:40, :40])) + jpeg(exif=rotated(6))[2:]
    ),
    "turned after a fill byte": filled(),
}
SLOW = {
    "CMYK": jpeg(mode="CMYK"),
    "several pictures": saved(
        Image.fromarray(PHOTO), "MPO", save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]
    ),
    "tiny": jpeg(PHOTO[:9, :90]),
    "cut short": jpeg()[:-2000],
    "no end marker": jpeg()[:-2],
    "a hole": jpeg()[:9_000] + jpeg()[9_500:],
    "zeros within": jpeg()[:9_000] + bytes(400) + jpeg()[9_400:],
    "a false height": jpeg().replace(struct.pack(">HH", 217, 333), struct.pack(">HH", 300, 333)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("target", [(1, 1), (16, 24), (64, 64), (217, 333)])
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_simplejpeg_and_pillow_make_the_same_of_every_jpeg(
    name: str, target: tuple[int, int], channels: int
) -> None:
    fast, slow = both((FAST | SLOW)[name], shape(*target, channels=channels, fit="crop"))
    assert fast == slow


def test_what_simplejpeg_takes_and_what_is_left_to_pillow() -> None:
    assert {name for name, content in FAST.items() if not goes_fast(content)} == set()
    assert {name for name, content in SLOW.items() if goes_fast(content)} == set()


def test_pillow_reads_the_header_only_where_it_may_turn_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "emberline.images.decode.Image.open",
        lambda *_, **__: pytest.fail("Pillow reads the header"),
    )
    read = set()
    for name, content in FAST.items():
        try:
            decode(content, shape(32, 32))
        except pytest.fail.Exception:
            read.add(name)
    assert read == {
        "turned",
        "mirrored",
        "broken EXIF",
        "turned after a thumbnail",
        "turned after a fill byte",
    }


@pytest.mark.parametrize("height", [16, 17, 23, 31, 32, 33, 63, 64, 65, 127, 129])
def test_odd_sizes_are_scaled_as_pillow_does(height: int) -> None:
    for width in (16, 19, 40, 71, 128, 255):
        for side in (1, 2, 4, 8, 16):
            for subsampling in (0, 2):
                fast, slow = both(
                    jpeg(PHOTO[:height, :width], subsampling=subsampling), shape(side, side)
                )
                assert fast == slow, (height, width, side, subsampling)


def test_real_photos_are_the_same_with_and_without_simplejpeg(shared_data: Path) -> None:
    for file in sorted((shared_data / "flower-photos").glob("*/*.jpg"))[::6]:
        content = file.read_bytes()
        assert goes_fast(content), file
        for side in (32, 96):
            fast, slow = both(content, shape(side, side, fit="crop"))
            assert fast == slow, file


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(FAST)),
    places=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3
    ),
    in_head=st.booleans(),
)
def test_damage_has_the_same_end_with_and_without_simplejpeg(
    name: str, places: list[tuple[float, int]], in_head: bool
) -> None:
    damaged = bytearray(FAST[name])
    for place, value in places:
        damaged[int(place * (700 if in_head else len(damaged)))] = value
    fast, slow = both(bytes(damaged), shape(16, 16, max_pixels=1_000_000))
    assert fast == slow


# What is no picture


def test_bytes_that_are_no_picture_are_named_as_such() -> None:
    assert reason(b"") == "empty file"
    assert (
        reason(b"user,item,rating\n1,2,3\n")
        == reason(b"<html></html>")
        == reason(b"\0" * 100)
        == "not a picture"
    )


def test_formats_that_start_foreign_programs_are_not_opened() -> None:
    assert (
        reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
        == "not a picture"
    )
    assert reason(b"%PDF-1.4\n") == "not a picture"


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_a_header_that_claims_too_many_pixels_is_refused_without_decoding(side: int) -> None:
    bomb = png(
        struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), (b"IDAT", zlib.compress(b"\0" * 1000))
    )
    assert reason(bomb) == "larger than 50,000,000 pixels"


def test_exactly_the_largest_size_is_allowed() -> None:
    content = saved(Image.fromarray(NOISE), "PNG")
    assert decode(content, shape(12, 9, max_pixels=108)).shape == (12, 9, 3)
    assert reason(content, shape(12, 9, max_pixels=107)) == "larger than 107 pixels"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_a_file_cut_short_anywhere_is_refused(format: str) -> None:
    content = saved(Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)), format)
    reasons = {reason(content[: len(content) * tenth // 10]) for tenth in range(10)}
    assert reasons <= {
        "empty file",
        "not a picture",
        "damaged: header",
        "damaged: truncated",
        "damaged: OSError",
    }


def test_nothing_is_left_behind_and_no_warning_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    content = saved(Image.fromarray(NOISE), "PNG")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        decode(content, shape(4, 4))
        assert caught == [] and warnings.filters == filters and Image.MAX_IMAGE_PIXELS == 100
        Image.open(io.BytesIO(content))
        assert [warning.category for warning in caught] == [Image.DecompressionBombWarning]


SEEDS = [
    saved(Image.fromarray(NOISE), "PNG"),
    saved(Image.fromarray(NOISE).quantize(16), "PNG", transparency=3),
    saved(Image.fromarray(NOISE), "JPEG"),
    saved(Image.fromarray(NOISE), "GIF"),
    saved(Image.fromarray(NOISE), "WEBP"),
    saved(Image.fromarray(NOISE), "BMP"),
    saved(Image.fromarray(NOISE), "TIFF", compression="tiff_lzw"),
    saved(Image.fromarray(NOISE), "PPM"),
]


def survives(content: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert decode(content, shape(8, 8, max_pixels=1_000_000)).shape == (8, 8, 3)
        except UnusableError as error:
            return str(error)
    return "decoded"


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from([b"", *(seed[:20] for seed in SEEDS)]), rest=st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(start: bytes, rest: bytes) -> None:
    assert survives(start + rest)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    places=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
    ),
)
def test_a_damaged_picture_raises_nothing_else(
    seed: bytes, places: list[tuple[float, int]]
) -> None:
    damaged = bytearray(seed)
    for place, value in places:
        damaged[int(place * len(seed))] = value
    survives(bytes(damaged))


def test_reasons_are_few() -> None:
    random_bytes = random.Random(5)
    counts: Counter[str] = Counter()
    for _ in range(1_000):
        damaged = bytearray(random_bytes.choice(SEEDS))
        for _ in range(3):
            damaged[random_bytes.randrange(len(damaged))] = random_bytes.randrange(256)
        counts[survives(bytes(damaged))] += 1
    assert counts["decoded"] and len(counts) <= 12, counts


def test_flattening_keeps_grey_grey() -> None:
    assert flatten(Image.new("1", (2, 2))).mode == flatten(Image.new("I;16", (2, 2))).mode == "L"
    assert flatten(Image.new("P", (2, 2))).mode == "RGB"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "I;16", "F"])
def test_bands_make_the_same_picture_as_the_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    if mode in ("I;16", "F"):
        values = (
            rng.integers(0, 65_536, (23, 7)).astype(np.uint16)
            if mode == "I;16"
            else rng.random((23, 7), np.float32)
        )
        picture = Image.fromarray(values)
    else:
        picture = Image.fromarray(rng.integers(0, 256, (23, 7, 4), np.uint8)).convert(mode)
    whole = np.asarray(flatten(picture))
    monkeypatch.setattr("emberline.images.decode._BAND_PIXELS", 15)
    np.testing.assert_array_equal(np.asarray(flatten(picture)), whole)


def test_a_large_transparent_picture_takes_nine_bytes_a_pixel() -> None:
    """Measured in a process of its own, above what it had before; it took sixteen."""
    code = """
import io, re
from PIL import Image
from emberline.images.decode import Shape, decode
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
file = io.BytesIO()
Image.new("RGBA", (64, 64)).resize((4000, 4)).save(file, "png")
decode(file.getvalue(), Shape(8, 8, 3, "crop", 10**9))
import zlib, struct
packer = zlib.compressobj()
rows = b"".join(packer.compress(bytes(16_001)) for _ in range(4000)) + packer.flush()
number = lambda value: struct.pack(">I", value)
chunk = lambda kind, data: number(len(data)) + kind + data + number(zlib.crc32(kind + data))
head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4000, 4000, 8, 6, 0, 0, 0))
content = b"\\x89PNG\\r\\n\\x1a\\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
before = peak()
decode(content, Shape(8, 8, 3, "crop", 10**9))
print((peak() - before) / 4000**2)
"""
    per_pixel = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(per_pixel.stdout) < 9.9

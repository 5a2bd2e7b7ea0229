"""Damage and size claims in every format: a wrong picture is never taken for the right one."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from typing import Any

import numpy as np
import pytest
from image_zoo import encode, picture, png_chunk, png_claiming
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image

from embedcache.errors import InputRejectedError
from embedcache.inputs.images import MAX_PIXELS, decode_rgb

Pixels = NDArray[np.uint8]

SMALL = picture(7, 11)
FILES = {
    "JPEG": encode(SMALL, "JPEG"),
    "JPEG, progressive": encode(SMALL, "JPEG", progressive=True),
    "PNG": encode(SMALL, "PNG"),
    "PNG, palette": encode(SMALL.quantize(9), "PNG"),
    "GIF": encode(SMALL, "GIF"),
    "WEBP": encode(SMALL, "WEBP"),
    "WEBP, lossless": encode(SMALL, "WEBP", lossless=True),
    "BMP": encode(SMALL, "BMP"),
    "TIFF": encode(SMALL, "TIFF"),
    "TIFF, LZW": encode(SMALL, "TIFF", compression="tiff_lzw"),
    "PPM": encode(SMALL, "PPM"),
    "AVIF": encode(SMALL, "AVIF"),
}


def outcome(data: bytes) -> Pixels | str:
    """The pixels, or the reason why there are none."""
    try:
        return np.asarray(decode_rgb(data))
    except InputRejectedError as error:
        return error.reason


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_never_changes_pixels(kind: str) -> None:
    """A file cut at any byte is rejected, or what was cut off had no pixels in it."""
    data = FILES[kind]
    whole = outcome(data)
    reasons = set()
    for length in range(len(data)):
        result = outcome(data[:length])
        if isinstance(result, str):
            reasons.add(result)
        else:
            np.testing.assert_array_equal(result, whole)
    assert reasons <= {"EMPTY", "NOT_AN_IMAGE", "UNSUPPORTED_FORMAT", "TRUNCATED", "CORRUPT"}
    assert reasons & {"TRUNCATED", "CORRUPT"}


@pytest.mark.parametrize("kind", ["PNG", "PNG, palette"])
def test_a_flipped_bit_never_changes_a_png(kind: str) -> None:
    """PNG has checksums, so that damage always shows: rejected, or the same pixels."""
    data = FILES[kind]
    whole = outcome(data)
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        result = outcome(bytes(flipped))
        if not isinstance(result, str):
            np.testing.assert_array_equal(result, whole)


def patched(kind: str, start: int, layout: str, *values: int) -> bytes:
    """A file with numbers in its header overwritten."""
    data = bytearray(FILES[kind])
    struct.pack_into(layout, data, start, *values)
    return bytes(data)


SIZE_CLAIMS = {
    "JPEG": patched("JPEG", FILES["JPEG"].index(b"\xff\xc0") + 5, ">HH", 65500, 65500),
    "GIF": patched("GIF", 6, "<HH", 65535, 65535),
    "BMP": patched("BMP", 18, "<ii", 50000, 50000),
    "PPM": b"P6 50000 50000 255\n\0\0\0",
    "PNG": png_claiming(2**31 - 1, 2**31 - 1),
}


@pytest.mark.parametrize("kind", SIZE_CLAIMS)
def test_claims_of_size_take_no_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that claim gigapixels are refused before a pixel is decoded."""
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    assert outcome(SIZE_CLAIMS[kind]) == "TOO_LARGE"


def test_the_limit_itself_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly as many pixels as the limit are fine, one more is too large."""
    monkeypatch.setattr("embedcache.inputs.images.MAX_PIXELS", 7 * 11)
    assert not isinstance(outcome(FILES["PNG"]), str)
    monkeypatch.setattr("embedcache.inputs.images.MAX_PIXELS", 7 * 11 - 1)
    assert outcome(FILES["PNG"]) == "TOO_LARGE"


def test_the_limit_is_pillows() -> None:
    """Pillow warns from its limit on and we refuse from there on, so it need not warn."""
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


def png_with_many_texts() -> bytes:
    """A PNG of 80 kB whose comments unpack to 70 MB, each of them small enough."""
    text = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(2**20 - 1)))
    return FILES["PNG"][:33] + text * 70 + FILES["PNG"][33:]


def test_many_small_texts_are_a_bomb_too() -> None:
    """Comments that only together fill the memory are refused."""
    assert outcome(png_with_many_texts()) == "TOO_LARGE"


def test_eps_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is a program: neither Ghostscript nor any other process is started."""
    data = encode(SMALL, "EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it was run"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was run"))
    assert outcome(data) == "UNSUPPORTED_FORMAT"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_hidden_colour_of_transparency_does_not_matter(kind: str) -> None:
    """Two pictures that look alike give the same pixels, whatever lies under the transparency."""
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    results = []
    for hidden in (0, 200):
        rgba = np.full((4, 6, 4), hidden, np.uint8)
        rgba[:, :3] = (10, 20, 30, 255)
        rgba[:, 3:, 3] = 0
        results.append(outcome(encode(Image.fromarray(rgba), kind, **options)))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.asarray(results[0])[0].tolist() == [[10, 20, 30]] * 3 + [[255] * 3] * 3


def test_transparency_is_composited_then_turned() -> None:
    """A turned picture with alpha is both composited and upright."""
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, :, 3] = (0, 51, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.asarray(outcome(encode(Image.fromarray(rgba), exif=exif)))
    assert pixels[..., 0].tolist() == [[255, 255], [255, 204], [255, 0]]


def test_sixteen_bit_rgb_keeps_the_high_byte() -> None:
    """48-bit PNG is scaled like 16-bit grey."""
    values = np.array([[[0, 255, 256], [40000, 65280, 65535]]], ">u2")
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" + values.tobytes()))
    data = b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b"")
    np.testing.assert_array_equal(outcome(data), values >> 8)


def test_the_name_does_not_matter() -> None:
    """The decoder sees bytes only: a PNG that is called .jpg is a PNG."""
    buffer = io.BytesIO(FILES["PNG"])
    buffer.name = "picture.jpg"
    np.testing.assert_array_equal(outcome(buffer.getvalue()), np.asarray(SMALL))

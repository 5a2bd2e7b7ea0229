"""The decode contract: encoded image bytes to an 8-bit RGB image.

`DECODE_CONTRACT` is a field of the identity and names these rules:

- Formats: AVIF, BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF, WebP; the first frame or page.
- EXIF orientation is applied; ICC profiles are ignored, as all training pipelines do.
- Alpha, and a palette's or a colour key's transparency, is composited on white.
- 16-bit grey keeps its high byte (value >> 8), as Pillow does for 16-bit RGB. Fewer or
  more bits per sample in TIFF are scaled alike: by the declared range of 2^bits.
- 32-bit integers and floats declare no range. Integers within 0..255 are taken as they
  are and within 0..65535 by their high byte; floats within 0..1 are multiplied by 255 and
  within 0..255 taken as they are, both rounded. Anything else is refused. Stretching each
  image to its own minimum and maximum lost: it gives equal scenes different features.
"""

from __future__ import annotations

import importlib.metadata
import io
import logging
import re
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from embedcache.errors import InputRejectedError
from embedcache.inputs.sniffing import check_png_sums, describe

__all__ = ["DECODE_CONTRACT", "MAX_PIXELS", "decode_rgb", "decoder_version"]

DECODE_CONTRACT = "rgb8-1"
"""Raised when a rule above changes."""

MAX_PIXELS = 89_478_485
"""Pillow's bomb limit: a quarter of a gigabyte of RGB. Here more is refused, not warned of."""

# Pillow logs errors of damaged TIFF files; without any handler they would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# An allow-list: Pillow hands EPS to Ghostscript, and rare decoders are rarely audited.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

# What Pillow's decoders were seen to raise on damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_EIGHT_BIT_MODES = {
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"),
}

_BITS_PER_SAMPLE = 258
"""TIFF 6.0, section 8."""

_BOMB_WORDS = ("Decompressed data too large", "Too much memory used in text chunks")
"""How Pillow words text and ICC bombs in PNG, which are plain `ValueError`s."""

_PILLOW_MODULES = r"PIL\."
_SILENCER = ("ignore", None, Warning, re.compile(_PILLOW_MODULES), 0)
"""The entry of `warnings.filters` that `_silence_metadata_warnings` makes."""


def decoder_version() -> str:
    """The decoder and its version, as in `Numerics.codec` and `Reject.decoder`."""
    return f"pillow {importlib.metadata.version('pillow')}"


def decode_rgb(data: bytes) -> Image.Image:
    """The image as mode RGB, upright. Safe to call from several threads.

    Raises:
        InputRejectedError: The bytes are no image, one in a format outside the
            contract, damaged, or larger than `MAX_PIXELS`.
    """
    _silence_metadata_warnings()
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise InputRejectedError(*describe(data)) from error
    except _DECODER_ERRORS as error:
        raise _damaged(error) from error
    if image.width * image.height > MAX_PIXELS:
        detail = f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are decoded"
        raise InputRejectedError("TOO_LARGE", detail)
    if image.format == "PNG" and (wrong := check_png_sums(data)):
        raise InputRejectedError("CORRUPT", wrong)
    try:
        with image:
            image.load()
            turn = _TRANSPOSE.get(_orientation(image))
            rgb = _to_rgb(image)
        return rgb if turn is None else rgb.transpose(turn)
    except InputRejectedError:
        raise
    except MemoryError as error:
        raise InputRejectedError("READ_ERROR", "out of memory while decoding") from error
    except _DECODER_ERRORS as error:
        raise _damaged(error) from error


def _silence_metadata_warnings() -> None:
    """Keep Pillow's remarks on odd metadata off the terminal, and from becoming errors.

    `warnings.catch_warnings` swaps global state and so cannot be used from threads.
    Whether the filter is still on top is asked at every image, because others do swap.
    """
    if not warnings.filters or warnings.filters[0] != _SILENCER:
        warnings.filterwarnings("ignore", category=Warning, module=_PILLOW_MODULES)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; unreadable EXIF is no reason to lose an intact picture."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image) >> (_bits(image) - 8))
    if image.mode == "I":
        return _grey(_scale_integers(np.asarray(image), declared=image.format in {"PNG", "PPM"}))
    if image.mode == "F":
        return _grey(_scale_floats(np.asarray(image)))
    if image.mode not in _EIGHT_BIT_MODES:
        raise InputRejectedError("UNSUPPORTED_FORMAT", f"colour mode {image.mode}")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _bits(image: Image.Image) -> int:
    """Declared bits per sample of a 16-bit image: 12-bit TIFF also arrives as mode I;16."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, 16)
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _scale_integers(values: NDArray[np.int32], *, declared: bool) -> NDArray[np.int32]:
    """Integers to 0..255; `declared` says that the format scales them to 16 bits."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputRejectedError("UNSUPPORTED_FORMAT", f"integers from {low} to {high}")
    return values >> 8 if declared or high > 255 else values


def _scale_floats(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise InputRejectedError("NOT_FINITE", "NaN or infinite pixels")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise InputRejectedError("UNSUPPORTED_FORMAT", f"floats from {low:g} to {high:g}")
    return np.rint(values * 255 if high <= 1 else values)


def _grey(values: NDArray[Any]) -> Image.Image:
    """A grey image of (H, W) values in 0..255."""
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _damaged(error: BaseException) -> InputRejectedError:
    detail = str(error) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError) or any(x in detail for x in _BOMB_WORDS):
        return InputRejectedError("TOO_LARGE", detail)
    if isinstance(error, EOFError) or "truncated" in detail.lower():
        return InputRejectedError("TRUNCATED", detail)
    return InputRejectedError("CORRUPT", detail)

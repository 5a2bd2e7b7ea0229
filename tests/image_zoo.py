"""Images of many kinds, good and bad, made in memory for tests."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from embedcache.inputs.golden import texture

HEIGHT, WIDTH = 12, 20


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image in a file format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A small textured picture."""
    return Image.fromarray(texture(height, width))


def array_image(values: NDArray[Any], kind: str = "TIFF") -> bytes:
    """A grey image of an array's own type."""
    return encode(Image.fromarray(values), kind)


def ramp(dtype: type, top: float) -> NDArray[Any]:
    """(1, 256) values rising from 0 to `top`."""
    return np.linspace(0, top, 256).astype(dtype).reshape(1, -1)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG with its right checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    data = encode(picture())
    return data[:33] + png_chunk(kind, body) + data[33:]


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def flipped(data: bytes, position: int) -> bytes:
    """The same bytes with one bit wrong."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def with_exif(orientation: int, kind: str = "JPEG") -> bytes:
    """The picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(picture(), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def jpeg_with_broken_exif() -> bytes:
    """An intact JPEG whose EXIF block is nonsense."""
    data = encode(picture(), "JPEG")
    body = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xfe" * 40
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def tiff_with_odd_tags() -> bytes:
    """An intact TIFF with metadata on which Pillow remarks."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282] = 72.0
    data = encode(picture(), "TIFF", tiffinfo=tags)
    # ResolutionUnit: one value allowed, two given.
    entry = struct.pack("<HHI", 296, 3, 1)
    return data.replace(entry, struct.pack("<HHI", 296, 3, 2)) if entry in data else data


def text_bomb() -> bytes:
    """A PNG with a few kilobytes of compressed text that would fill 64 MB."""
    body = b"Comment\0\0" + zlib.compress(b"a" * (64 * 2**20), 9)
    return png_with(b"zTXt", body)


def icc_bomb() -> bytes:
    """A PNG whose colour profile unpacks to 64 MB."""
    return png_with(b"iCCP", b"profile\0\0" + zlib.compress(b"a" * (64 * 2**20), 9))


def animation(kind: str) -> bytes:
    """Two frames, of which the first is the picture."""
    other = Image.new("RGB", (WIDTH, HEIGHT), "red")
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(picture(), kind, save_all=True, append_images=[other], **options)


def png_text() -> bytes:
    """A PNG with an ordinary comment."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "an ordinary comment")
    return encode(picture(), pnginfo=info)


def palette_with_alpha() -> bytes:
    """A palette image whose palette entries have several opacities."""
    return encode(picture().quantize(8), transparency=bytes([0, 255, 128, 7, 255, 255, 255, 255]))


def _tiff_ycbcr() -> bytes:
    """A TIFF in the colours of JPEG, uncompressed."""
    return encode(picture().convert("YCbCr"), "TIFF")


_READS_YCBCR = int(PIL.__version__.partition(".")[0]) >= 13
"""Older ones hold such a file for cut off: there it has to be a reject."""

Maker = Callable[[], bytes]

GOOD: Mapping[str, Maker] = {
    "jpeg": lambda: encode(picture(), "JPEG"),
    "jpeg progressive": lambda: encode(picture(), "JPEG", progressive=True),
    "jpeg grey": lambda: encode(picture().convert("L"), "JPEG"),
    "jpeg cmyk": lambda: encode(picture().convert("CMYK"), "JPEG"),
    "jpeg with broken exif": jpeg_with_broken_exif,
    "jpeg with trailing bytes": lambda: encode(picture(), "JPEG") + b"trailing",
    "mpo": lambda: encode(picture(), "MPO", save_all=True, append_images=[picture()]),
    "png": lambda: encode(picture()),
    "png with text": png_text,
    "png 1 bit": lambda: encode(picture().convert("1")),
    "png grey": lambda: encode(picture().convert("L")),
    "png grey and alpha": lambda: encode(picture().convert("LA")),
    "png palette": lambda: encode(picture().quantize(16)),
    "png palette with alpha": palette_with_alpha,
    "png rgba": lambda: encode(picture().convert("RGBA")),
    "png colour key": lambda: encode(picture(), transparency=(0, 0, 0)),
    "png grey colour key": lambda: encode(picture().convert("L"), transparency=0),
    "png 16 bit": lambda: array_image(ramp(np.uint16, 65535), "PNG"),
    "png odd animation": lambda: png_with(b"acTL", struct.pack(">II", 0, 0)),
    "png 1 x 1": lambda: encode(picture(1, 1)),
    "apng": lambda: animation("PNG"),
    "gif": lambda: encode(picture(), "GIF"),
    "gif animation": lambda: animation("GIF"),
    "gif transparent": lambda: encode(picture().quantize(8), "GIF", transparency=3),
    "webp": lambda: encode(picture(), "WEBP"),
    "webp animation": lambda: animation("WEBP"),
    "bmp": lambda: encode(picture(), "BMP"),
    "tiff": lambda: encode(picture(), "TIFF"),
    "tiff lzw": lambda: encode(picture(), "TIFF", compression="tiff_lzw"),
    "tiff odd tags": tiff_with_odd_tags,
    "tiff cmyk": lambda: encode(picture().convert("CMYK"), "TIFF"),
    "tiff 16 bit": lambda: array_image(ramp(np.uint16, 65535)),
    "tiff 32 bit": lambda: array_image(ramp(np.int32, 65535)),
    "tiff float": lambda: array_image(ramp(np.float32, 1)),
    "tiff float 255": lambda: array_image(ramp(np.float32, 255)),
    "tiff pages": lambda: encode(picture(), "TIFF", save_all=True, append_images=[picture(5, 5)]),
    "ppm": lambda: encode(picture(), "PPM"),
    "pgm 16 bit": lambda: array_image(ramp(np.uint16, 65535), "PPM"),
    "jpeg 2000": lambda: encode(picture(), "JPEG2000"),
    "avif": lambda: encode(picture(), "AVIF"),
    **({"tiff ycbcr": _tiff_ycbcr} if _READS_YCBCR else {}),
}

_JPEG = encode(picture(64, 64), "JPEG")
_PNG = encode(picture(64, 64))

BAD: Mapping[str, tuple[Maker, str, str]] = {
    "empty": (lambda: b"", "EMPTY", "0 bytes"),
    "one byte": (lambda: b"\xff", "NOT_AN_IMAGE", "ff"),
    "zeros": (lambda: bytes(1000), "NOT_AN_IMAGE", "00"),
    "text": (lambda: b"just some words\n", "NOT_AN_IMAGE", "text"),
    "html": (lambda: b"\n<!DOCTYPE html><html>404</html>", "NOT_AN_IMAGE", "HTML"),
    "html with bom": (lambda: b"\xef\xbb\xbf<HTML><body>", "NOT_AN_IMAGE", "HTML"),
    "json": (lambda: b'{"error": "not found"}', "NOT_AN_IMAGE", "text"),
    "xml": (lambda: b"<?xml version='1.0'?><Error/>", "NOT_AN_IMAGE", "text"),
    "lfs pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "POINTER",
        "git lfs pull",
    ),
    "annex pointer": (lambda: b"/annex/objects/SHA256E-s1--0.jpg\n", "POINTER", "git annex get"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "UNSUPPORTED_FORMAT", "SVG"),
    "svg in xml": (lambda: b"<?xml version='1.0'?>\n<svg/>", "UNSUPPORTED_FORMAT", "SVG"),
    "pdf": (lambda: b"%PDF-1.7\n\xff\xfe", "UNSUPPORTED_FORMAT", "PDF"),
    "eps": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "UNSUPPORTED_FORMAT",
        "PostScript",
    ),
    "eps in binary": (lambda: b"\xc5\xd0\xd3\xc6" + bytes(40), "UNSUPPORTED_FORMAT", "EPS"),
    "heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(40), "UNSUPPORTED_FORMAT", "HEIC"),
    "mp4": (lambda: b"\0\0\0\x18ftypisom" + bytes(40), "UNSUPPORTED_FORMAT", "MP4"),
    "photoshop": (lambda: b"8BPS\0\x01" + bytes(40), "UNSUPPORTED_FORMAT", "Photoshop"),
    "icon": (lambda: encode(picture(16, 16), "ICO"), "UNSUPPORTED_FORMAT", "icon"),
    "tga": (lambda: encode(picture(), "TGA"), "NOT_AN_IMAGE", "no known image format"),
    "pcx": (lambda: encode(picture(), "PCX"), "NOT_AN_IMAGE", "no known image format"),
    "zip": (lambda: b"PK\x03\x04" + bytes(40), "NOT_AN_IMAGE", "ZIP"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(40), "NOT_AN_IMAGE", "gzip"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(40), "NOT_AN_IMAGE", "HDF5"),
    "npy": (lambda: b"\x93NUMPY\x01\0" + bytes(40), "NOT_AN_IMAGE", "NumPy"),
    "program": (lambda: b"\x7fELF" + bytes(40), "NOT_AN_IMAGE", "program"),
    "jpeg of 3 bytes": (lambda: _JPEG[:3], "CORRUPT", "JPEG"),
    "jpeg cut in the header": (lambda: _JPEG[:100], "TRUNCATED", ""),
    "jpeg cut in the middle": (lambda: _JPEG[: len(_JPEG) // 2], "TRUNCATED", "truncated"),
    "jpeg without its end": (lambda: _JPEG[:-200], "TRUNCATED", "truncated"),
    "png signature": (lambda: _PNG[:8], "CORRUPT", "PNG"),
    "png cut in the middle": (lambda: _PNG[: len(_PNG) // 2], "TRUNCATED", "truncated"),
    "png damaged pixels": (lambda: flipped(_PNG, len(_PNG) // 2), "CORRUPT", "CRC"),
    "png bad CRC of pixels": (lambda: flipped(_PNG, len(_PNG) - 13), "CORRUPT", "CRC"),
    "png bad CRC of the header": (lambda: flipped(_PNG, 30), "CORRUPT", ""),
    "png header without size": (lambda: png_claiming(0, 7), "CORRUPT", ""),
    "bomb above twice the limit": (lambda: png_claiming(50_000, 50_000), "TOO_LARGE", "pixels"),
    "bomb that Pillow only warns of": (
        lambda: png_claiming(10_000, 10_000),
        "TOO_LARGE",
        "10000 x 10000 pixels",
    ),
    "text bomb": (text_bomb, "TOO_LARGE", "Decompressed data too large"),
    "icc bomb": (icc_bomb, "TOO_LARGE", "Decompressed data too large"),
    "gif cut": (lambda: encode(picture(), "GIF")[:-40], "TRUNCATED", ""),
    "gif signature": (lambda: b"GIF89a", "CORRUPT", "GIF"),
    "webp cut": (lambda: encode(picture(), "WEBP")[:60], "CORRUPT", ""),
    "webp signature": (lambda: b"RIFF\0\0\0\0WEBP", "CORRUPT", "WebP"),
    "wave audio": (lambda: b"RIFF\0\0\0\0WAVEfmt " + bytes(20), "NOT_AN_IMAGE", "52 49"),
    "tiff cut": (lambda: encode(picture(), "TIFF")[:200], "TRUNCATED", ""),
    "tiff signature": (lambda: b"II*\0\x08\0\0\0", "CORRUPT", "TIFF"),
    "bmp cut": (lambda: encode(picture(), "BMP")[:100], "TRUNCATED", "truncated"),
    "ppm cut": (lambda: encode(picture(), "PPM")[:100], "TRUNCATED", "truncated"),
    "jpeg 2000 cut": (lambda: encode(picture(), "JPEG2000")[:200], "CORRUPT", ""),
    "avif damaged": (lambda: encode(picture(), "AVIF")[:40], "CORRUPT", ""),
    "float with nan": (
        lambda: array_image(np.array([[0.5, np.nan]], np.float32)),
        "NOT_FINITE",
        "NaN",
    ),
    "float with infinity": (
        lambda: array_image(np.array([[0.5, np.inf]], np.float32)),
        "NOT_FINITE",
        "infinite",
    ),
    "float of unknown range": (
        lambda: array_image(np.array([[0, 4096]], np.float32)),
        "UNSUPPORTED_FORMAT",
        "4096",
    ),
    "negative float": (
        lambda: array_image(np.array([[-1, 1]], np.float32)),
        "UNSUPPORTED_FORMAT",
        "-1",
    ),
    "integers of unknown range": (
        lambda: array_image(np.array([[0, 10**6]], np.int32)),
        "UNSUPPORTED_FORMAT",
        "1000000",
    ),
    "lab colours": (
        lambda: encode(Image.new("LAB", (4, 4)), "TIFF"),
        "UNSUPPORTED_FORMAT",
        "LAB",
    ),
    **({} if _READS_YCBCR else {"tiff ycbcr": (_tiff_ycbcr, "TRUNCATED", "truncated")}),
}

"""Name what a file's bytes are, where no decoder claims them or a decoder would not notice.

Signatures: https://en.wikipedia.org/wiki/List_of_file_signatures
"""

from __future__ import annotations

import codecs
import zlib

__all__ = ["check_png_sums", "describe"]

_TEXT_BYTES = 4096
"""How much of the beginning is looked at."""

_POINTERS = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer: run `git lfs pull`",
    b"/annex/objects/": "a git-annex pointer: run `git annex get`",
    b"../.git/annex/objects/": "a git-annex pointer: run `git annex get`",
}

_UNSUPPORTED = {
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"8BPS": "Photoshop",
    b"\x00\x00\x01\x00": "Windows icon",
    b"SIMPLE  =": "FITS",
    b"DDS ": "DirectDraw surface",
    b"qoif": "QOI",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x1a\x45\xdf\xa3": "Matroska video",
    b"FLV\x01": "Flash video",
}

_DECODABLE = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}

_NO_IMAGE = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"ID3": "MP3 audio",
    b"OggS": "Ogg audio",
}

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


def describe(data: bytes) -> tuple[str, str]:
    """Why bytes that no decoder claims are not an image that can be read.

    Returns:
        The name of a `RejectReason`, and words for a person.
    """
    if not data:
        return "EMPTY", "0 bytes"
    for start, text in _POINTERS.items():
        if data.startswith(start):
            return "POINTER", text
    for start, text in _UNSUPPORTED.items():
        if data.startswith(start):
            return "UNSUPPORTED_FORMAT", f"{text}: convert it to PNG or JPEG"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _AVIF_BRANDS:
            return "CORRUPT", "AVIF whose header is damaged, or this Pillow has no AVIF decoder"
        kind = "HEIC" if brand in _HEIF_BRANDS else "MP4 or a relative of it"
        return "UNSUPPORTED_FORMAT", f"{kind}: convert it to PNG or JPEG"
    for start, text in _NO_IMAGE.items():
        if data.startswith(start):
            return "NOT_AN_IMAGE", text
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "CORRUPT", "WebP whose header is damaged or cut short"
    for start, text in _DECODABLE.items():
        if data.startswith(start):
            return "CORRUPT", f"{text} whose header is damaged or cut short"
    return _describe_text(data[:_TEXT_BYTES])


def _describe_text(head: bytes) -> tuple[str, str]:
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lowered.startswith((b"<svg", b"<?xml", b"<!--")) and b"<svg" in lowered:
        return "UNSUPPORTED_FORMAT", "SVG: convert it to PNG or JPEG"
    if lowered.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "NOT_AN_IMAGE", "an HTML page: the download went wrong"
    if _is_text(head):
        return "NOT_AN_IMAGE", "text"
    return "NOT_AN_IMAGE", f"no known image format begins with {head[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8, but for a last character cut in two, without control codes."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(letter.isprintable() or letter.isspace() for letter in text)


def check_png_sums(data: bytes) -> str | None:
    """What is wrong with the checksums of a PNG, if anything is.

    Decoders skip the sums of image data (seen in Pillow 13), so that a damaged
    picture would pass. Chunk layout: https://www.w3.org/TR/png/#5Chunk-layout
    """
    view = memoryview(data)
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(view[position : position + 4])
        kind = bytes(view[position + 4 : position + 8])
        if end + 4 > len(data):
            return None  # truncated: the decoder's own words are better
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4]):
            return f"bad CRC of chunk {kind.decode('ascii', 'backslashreplace')}"
        if kind == b"IEND":
            return None
        position = end + 4
    return None

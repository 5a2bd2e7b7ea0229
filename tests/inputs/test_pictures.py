"""Pictures of rows."""

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from embedcache.inputs.pictures import read_picture


def _jpeg(**options: object) -> bytes:
    """60 × 30 pixels, the left half red, the right half blue."""
    image = Image.new("RGB", (60, 30), "red")
    image.paste("blue", (30, 0, 60, 30))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _read(path: Path, embedded: bytes) -> Image.Image | None:
    return read_picture(bytes(path), hashlib.sha256(embedded).digest())


def test_it_stands_upright(tmp_path: Path) -> None:
    """EXIF orientation 6: turned by a quarter, the left half is on top."""
    exif = Image.Exif()
    exif[274] = 6
    data = _jpeg(exif=exif)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    image = _read(path, data)
    assert image is not None
    assert image.size == (30, 60)
    red, _, blue = image.getpixel((15, 8))  # type: ignore[misc]  # an RGB image
    assert red > 200 > 60 > blue


@pytest.mark.parametrize("now", [None, _jpeg(quality=30)])
def test_a_changed_or_missing_file_is_not_shown(now: bytes | None, tmp_path: Path) -> None:
    """What is shown is what was embedded, or nothing."""
    path = tmp_path / "a.jpg"
    if now is not None:
        path.write_bytes(now)
    assert _read(path, _jpeg()) is None


def test_an_undecodable_file_is_not_shown(tmp_path: Path) -> None:
    """Equal bytes that are no image: a row of features that were imported, say."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no image")
    assert _read(path, b"no image") is None

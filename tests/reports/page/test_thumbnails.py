"""Pictures of rows."""

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from embedcache.reports.page.thumbnails import Thumbnails


def _thumbnails(path: Path, data: bytes) -> Thumbnails:
    digest = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)[None]
    return Thumbnails(lambda _row: str(path).encode(), digest)


def _jpeg(**options: object) -> bytes:
    """600 × 300 pixels, the left half red, the right half blue."""
    image = Image.new("RGB", (600, 300), "red")
    image.paste("blue", (300, 0, 600, 300))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _decode(uri: str | None) -> Image.Image:
    assert uri is not None
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_picture_becomes_small(tmp_path: Path) -> None:
    """Within 176 pixels, in its own proportions."""
    path = tmp_path / "a.jpg"
    path.write_bytes(_jpeg())
    image = _decode(_thumbnails(path, _jpeg())(0))
    assert image.size == (176, 88)


def test_it_stands_upright(tmp_path: Path) -> None:
    """EXIF orientation 6: turned by a quarter, the left half is on top."""
    exif = Image.Exif()
    exif[274] = 6
    data = _jpeg(exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    image = _decode(_thumbnails(tmp_path / "a.jpg", data)(0))
    assert image.size == (88, 176)
    red, _, blue = image.getpixel((44, 20))  # type: ignore[misc]  # an RGB image
    assert red > 200 > 60 > blue


def test_a_changed_or_missing_file_is_not_shown(tmp_path: Path) -> None:
    """The page shows what the head saw, or nothing."""
    path = tmp_path / "a.jpg"
    assert _thumbnails(path, _jpeg())(0) is None
    path.write_bytes(_jpeg(quality=30))
    assert _thumbnails(path, _jpeg())(0) is None


def test_an_undecodable_file_is_not_shown(tmp_path: Path) -> None:
    """Equal bytes that are no image: a row of features that were imported, say."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no image")
    assert _thumbnails(path, b"no image")(0) is None

"""Small pictures."""

import base64
import io

from PIL import Image

from embedcache.reports.page.thumbnails import thumbnail


def test_a_picture_becomes_small() -> None:
    """A JPEG within 176 pixels, in its own proportions and colours."""
    uri = thumbnail(Image.new("RGB", (600, 300), "red"))
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (176, 88)
        red, green, _ = image.getpixel((80, 40))  # type: ignore[misc]  # an RGB image
    assert red > 200 > 60 > green


def test_a_small_picture_stays() -> None:
    """Nothing is blown up."""
    data = thumbnail(Image.new("RGB", (20, 10))).split(",")[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (20, 10)

"""Draw `embedcache/inputs/golden.jpg` again: `python tests/inputs/draw_golden.py FILE`.

The file is committed: another encoder version would write other bytes.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw

from embedcache.inputs.golden import texture

WIDTH, HEIGHT = 384, 288
ORIENTATION_TAG = 0x0112


def draw() -> Image.Image:
    """Shapes with sharp edges over the texture, with nothing symmetric about them."""
    image = Image.fromarray(texture(HEIGHT, WIDTH))
    pen = ImageDraw.Draw(image)
    pen.ellipse((30, 20, 150, 110), fill=(220, 60, 40))
    pen.rectangle((200, 40, 350, 100), fill=(40, 90, 200))
    pen.polygon([(40, 260), (120, 130), (170, 270)], fill=(30, 160, 70))
    for offset in range(0, 120, 6):
        pen.line((220 + offset, 130, 200 + offset, 270), fill=(250, 240, 90), width=2)
    noise = np.random.Generator(np.random.PCG64(1)).integers(-12, 13, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def main(path: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    draw().save(path, quality=80, subsampling=2, exif=exif)


if __name__ == "__main__":
    main(sys.argv[1])

"""Tests of `embedcache.inputs.images` and `embedcache.inputs.sniffing`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_zoo import (
    BAD,
    GOOD,
    HEIGHT,
    WIDTH,
    animation,
    array_image,
    encode,
    picture,
    ramp,
    with_exif,
)
from PIL import Image, ImageFile

from embedcache.errors import InputRejectedError
from embedcache.inputs.images import DECODE_CONTRACT, decode_rgb, decoder_version
from embedcache.records.rejects import RejectReason


def grey_levels(data: bytes) -> list[int]:
    """The first row of a decoded grey image."""
    pixels = np.asarray(decode_rgb(data))
    assert (pixels[..., :1] == pixels).all()
    return [int(value) for value in pixels[0, :, 0]]


@pytest.mark.parametrize("kind", GOOD)
def test_good_images(kind: str) -> None:
    """Every kind of intact image becomes RGB without a warning."""
    image = decode_rgb(GOOD[kind]())
    assert image.mode == "RGB"
    assert type(image) is Image.Image


@pytest.mark.parametrize("kind", BAD)
def test_bad_images(kind: str) -> None:
    """Every kind of bad image is refused with its reason and telling words."""
    make, reason, words = BAD[kind]
    with pytest.raises(InputRejectedError) as caught:
        decode_rgb(make())
    assert caught.value.reason == reason, caught.value.detail
    assert words in caught.value.detail
    assert not RejectReason[caught.value.reason].is_environment


def test_enough_kinds() -> None:
    """There are at least fifty kinds of bad and odd images."""
    assert len(BAD) >= 50


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_are_exact(kind: str) -> None:
    """An RGB image in a lossless format comes back bit for bit."""
    assert np.array_equal(np.asarray(decode_rgb(encode(picture(), kind))), np.asarray(picture()))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_first_frame(kind: str) -> None:
    """Of an animation, the first frame counts."""
    pixels = np.asarray(decode_rgb(animation(kind))).astype(int)
    assert np.abs(pixels - np.asarray(picture())).mean() < 20
    assert np.abs(pixels - (255, 0, 0)).mean() > 60


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    """Images are turned upright, as Pillow's own exif_transpose does."""
    plain = np.asarray(decode_rgb(with_exif(1, kind)))
    turned = np.asarray(decode_rgb(with_exif(orientation, kind)))
    rows_first = [plain, plain[:, ::-1], plain[::-1, ::-1], plain[::-1]]
    upright = (rows_first + [view.transpose(1, 0, 2) for view in _quarter_turns(plain)])[
        orientation - 1
    ]
    assert np.array_equal(turned, upright)


def _quarter_turns(plain: np.ndarray) -> list[np.ndarray]:
    """Views whose transposes are orientations 5 to 8 (EXIF 2.3, tag 0x0112)."""
    return [plain, plain[::-1], plain[::-1, ::-1], plain[:, ::-1]]


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_odd_orientation(value: int) -> None:
    """An orientation that does not exist is ignored."""
    assert decode_rgb(with_exif(value)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_white(mode: str) -> None:
    """What is transparent shows the white behind it, not its hidden colour."""
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = (0, 128, 255)
    image = Image.fromarray(rgba).convert(mode)
    assert grey_levels(encode(image)) == [255, 127, 0]


def test_colour_key_is_white() -> None:
    """Pixels of a PNG's transparent colour are white; the others keep theirs."""
    image = Image.fromarray(np.array([[[9, 9, 9], [1, 2, 3]]], np.uint8))
    pixels = np.asarray(decode_rgb(encode(image, transparency=(9, 9, 9))))
    assert pixels.tolist() == [[[255, 255, 255], [1, 2, 3]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_keeps_the_high_byte(kind: str) -> None:
    """16-bit grey is scaled by its range, where Pillow alone would clip it to white."""
    options = {"irreversible": False} if kind == "JPEG2000" else {}
    data = encode(Image.fromarray(np.tile(ramp(np.uint16, 65535), (16, 1))), kind, **options)
    assert grey_levels(data) == [int(value) >> 8 for value in ramp(np.uint16, 65535)[0]]


def test_12_bit_tiff() -> None:
    """A TIFF that declares 12 bits is scaled by 12 bits."""
    from PIL import TiffImagePlugin

    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00])  # 4095, 0, 2048, 0
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 277: 1, 278: 1, 279: len(packed)}
    entries = {**tags, 273: 8}
    body = b"".join(
        int(tag).to_bytes(2, "little")
        + (4).to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + int(value).to_bytes(4, "little")
        for tag, value in sorted(entries.items())
    )
    head = b"II*\0" + (16).to_bytes(4, "little") + packed + bytes(2)
    data = head + len(entries).to_bytes(2, "little") + body + bytes(4)
    assert TiffImagePlugin.BITSPERSAMPLE == 258
    assert grey_levels(data) == [255, 0, 128, 0]


def test_integers_without_declared_range() -> None:
    """32-bit integers are taken as 8-bit values when they fit, else by their high byte."""
    small, large = np.array([[0, 7, 255]], np.int32), np.array([[0, 256, 65535]], np.int32)
    assert grey_levels(array_image(small)) == [0, 7, 255]
    assert grey_levels(array_image(large)) == [0, 1, 255]


def test_floats() -> None:
    """Floats in 0..1 are scaled, where Pillow alone would make them black; in 0..255 kept."""
    assert grey_levels(array_image(np.array([[0, 0.5, 1]], np.float32))) == [0, 128, 255]
    assert grey_levels(array_image(np.array([[0, 1.4, 254.6]], np.float32))) == [0, 1, 255]


def test_cmyk_jpeg() -> None:
    """A CMYK JPEG shows the colours that it was made from, not their negative."""
    image = Image.new("RGB", (16, 16), (200, 60, 30))
    pixels = np.asarray(decode_rgb(encode(image.convert("CMYK"), "JPEG", quality=95))).astype(int)
    assert np.abs(pixels - (200, 60, 30)).max() < 12


def test_icc_profile_is_ignored() -> None:
    """A colour profile does not change a pixel."""
    plain = decode_rgb(encode(picture()))
    tagged = decode_rgb(encode(picture(), icc_profile=b"not even a profile"))
    assert tagged.tobytes() == plain.tobytes()


def test_metadata_warnings_stay_inside() -> None:
    """Pillow's remarks do not escape, even where the caller turns warnings into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode_rgb(GOOD["jpeg with broken exif"]())
        decode_rgb(GOOD["png odd animation"]())
        warnings.simplefilter("error")
        decode_rgb(GOOD["jpeg with broken exif"]())


def test_no_warning_filter_for_others() -> None:
    """Silencing Pillow silences nobody else."""
    decode_rgb(GOOD["jpeg"]())
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_threads_agree() -> None:
    """Decoding from several threads gives what decoding from one gives."""
    items = [make() for make in GOOD.values()]
    expected = [decode_rgb(data).tobytes() for data in items]
    bad = [make() for make, _, _ in BAD.values()][:20]

    def refused(data: bytes) -> str:
        with pytest.raises(InputRejectedError) as caught:
            decode_rgb(data)
        return caught.value.reason

    reasons = [refused(data) for data in bad]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            futures = [pool.submit(refused, data) for data in bad]
            assert [image.tobytes() for image in pool.map(decode_rgb, items)] == expected
            assert [future.result() for future in futures] == reasons


def test_out_of_memory_is_no_fault_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """When memory runs out while decoding, the image will be tried again another time."""

    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(InputRejectedError) as caught:
        decode_rgb(GOOD["bmp"]())
    assert RejectReason[caught.value.reason].is_environment


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_images_never_crash(data: st.DataObject) -> None:
    """Flipped, cut or inserted bytes give an image or a refusal, never another exception."""
    image = bytearray(GOOD[data.draw(st.sampled_from(sorted(GOOD)))]())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(image) - 1))
        image[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(image)))
    try:
        assert decode_rgb(bytes(image[: len(image) - cut // 4])).mode == "RGB"
    except InputRejectedError as error:
        assert error.detail  # noqa: PT017  # most damaged images are refused, some are not


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    """Random bytes are refused with a reason."""
    with pytest.raises(InputRejectedError) as caught:
        decode_rgb(data)
    assert RejectReason[caught.value.reason]


def test_versions() -> None:
    """The contract and the decoder are named without importing torch."""
    assert DECODE_CONTRACT == "rgb8-1"
    assert decoder_version().startswith("pillow ")
    code = "import sys, embedcache.inputs.preprocess; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"

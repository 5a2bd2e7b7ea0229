"""Files of features are numbers, whole and finite, or refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.feature_file import finite_rows, map_features, stored_blocks
from embedcache.errors import FeatureOverflowError, SourceError


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_are_mapped(dtype: str, order: str, tmp_path: Path) -> None:
    """Of any width, byte order and layout."""
    array = np.asarray(np.random.default_rng(0).standard_normal((7, 3)), dtype, order=order)
    np.save(tmp_path / "f.npy", array)
    mapped = map_features(tmp_path / "f.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)
    blocks = list(stored_blocks(mapped, np.ones(7, bool), "float16"))
    np.testing.assert_array_equal(np.concatenate(blocks), array.astype("f2"))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2), np.int64),
        np.zeros(3),
        np.zeros((3, 2, 1)),
        np.zeros((0, 2)),
        np.zeros((3, 0)),
        np.zeros((3, 2), np.complex64),
        np.zeros((3, 2), np.longdouble),
        np.array([[{}, {}]], object),
        np.array([["a", "b"]]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    """No objects, no integers, no other number of axes, no emptiness."""
    np.save(tmp_path / "f.npy", array, allow_pickle=True)
    with pytest.raises(SourceError):
        map_features(tmp_path / "f.npy")


@given(cut=st.integers(0, 151))
def test_cut_files_are_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever they end."""
    path = tmp_path_factory.mktemp("cut") / "f.npy"
    np.save(path, np.zeros((2, 3), "f4"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError):
        map_features(path)


@pytest.mark.parametrize("rows", [3, 10**12, 2**70, -1])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(
    rows: int, tmp_path: Path
) -> None:
    """Before anything is allocated."""
    path = tmp_path / "f.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(24))
    with pytest.raises(SourceError):
        map_features(path)


@given(header=st.binary(max_size=60))
def test_hostile_headers_are_refused(
    header: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands where a description should."""
    path = tmp_path_factory.mktemp("hostile") / "f.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(SourceError):
        map_features(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A FIFO is not waited for."""
    os.mkfifo(tmp_path / "fifo.npy")
    for name in ("none.npy", "fifo.npy", "."):
        with pytest.raises(SourceError):
            map_features(tmp_path / name)


def test_rows_that_are_not_finite_are_told(tmp_path: Path) -> None:
    """NaN and both infinities."""
    array = np.ones((5, 2), "f4")
    array[1, 0], array[2, 1], array[4, 0] = np.nan, np.inf, -np.inf
    finite = finite_rows(array, "float16", tmp_path)
    assert finite.tolist() == [True, False, False, True, False]


def test_a_feature_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """It names the row and the way out; float32 holds it."""
    array = np.ones((5, 2), "f4")
    array[3, 1] = -70_000
    with pytest.raises(FeatureOverflowError, match="row 3") as error:
        finite_rows(array, "float16", tmp_path / "f.npy")
    assert "--store-dtype float32" in str(error.value)
    assert finite_rows(array, "float32", tmp_path).all()

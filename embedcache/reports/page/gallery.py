"""Pictures of rows with a line or two under each."""

from __future__ import annotations

from embedcache.heads.run_report import RunReport
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import inline

__all__ = ["gallery", "gallery_item"]


def gallery_item(material: Material[RunReport], row: int, caption: str) -> str:
    """A row's picture, and under it a caption, which is HTML, and the row's name."""
    picture = material.picture(row)
    shown = f'<img src="{picture}" alt="">' if picture else '<span class="blank">no picture</span>'
    name = inline(material.ids.text(row), longest=48)
    return f'<li>{shown}{caption}<br><span class="id">{name}</span></li>'


def gallery(items: list[str]) -> str:
    """Items side by side, as many as fit into a line."""
    return '<ul class="gallery">\n' + "\n".join(items) + "\n</ul>"

"""`document`: sections as one HTML file that needs no script, no network and no other file."""

from __future__ import annotations

from collections.abc import Iterable

from embedcache.reports.page.parts import text
from embedcache.reports.page.style import STYLE

__all__ = ["document"]

# The file comes from other people's names and labels: were one of them not escaped, a browser
# would still load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, subtitle: str, sections: Iterable[str]) -> bytes:
    """The page, UTF-8.

    Args:
        title: As text.
        subtitle: As text.
        sections: HTML; empty ones are left out.
    """
    body = "\n".join(part for part in sections if part)
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{text(title)}</h1>\n<p class="soft">{text(subtitle)}</p>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    ).encode()

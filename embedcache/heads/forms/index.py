"""`FORMS`: every form by its name in `head.json`."""

from __future__ import annotations

from embedcache.heads.forms.cosine import Cosine
from embedcache.heads.forms.form import Form
from embedcache.heads.forms.landmarks import Landmarks
from embedcache.heads.forms.layers import Layers
from embedcache.heads.forms.linear import Linear
from embedcache.heads.forms.neighbours import Neighbours

__all__ = ["FORMS"]

FORMS: dict[str, type[Form]] = {
    form.name: form for form in (Linear, Cosine, Neighbours, Landmarks, Layers)
}

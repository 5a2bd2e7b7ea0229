"""A form's torch module answers as the form does."""

import numpy as np
import pytest
import torch
from forms import D, K, make

from embedcache.heads.forms.index import FORMS
from embedcache.heads.torch_forms import torch_form


@pytest.mark.parametrize("name", FORMS)
def test_logits_are_those_of_numpy(name: str) -> None:
    """But for float32; a row of zeros as well, whose neighbours are all equally near."""
    form = make(name)
    if name == "neighbours":
        form = type(form).of({**form.tensors(), "widths": np.array([D], np.int32)})
    features = np.random.default_rng(1).normal(size=(64, D)).astype(np.float32)
    if name != "neighbours":
        features[7] = 0
    with torch.no_grad():
        found = torch_form(form)(torch.from_numpy(features)).numpy()
    assert found.shape == (64, K)
    np.testing.assert_allclose(found, form.logits(features.astype(np.float64)), atol=2e-4)


def test_an_unknown_form_is_refused() -> None:
    """Instead of a wrong graph."""
    with pytest.raises(NotImplementedError):
        torch_form("linear")  # type: ignore[arg-type]

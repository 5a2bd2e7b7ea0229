"""The Gram matrix behind the preconditioner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embedcache import SoftmaxRegression


def test_a_gram_matrix_that_float32_cannot_solve_is_solved_in_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where LAPACK does not converge in float32, the fit goes on and ends at the same point."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 5)).astype(np.float32)
    labels = (features[:, 0] + 0.5 * rng.standard_normal(60) > 0).astype(int)
    expected = SoftmaxRegression(C=0.1).fit(features, labels)
    real, refused = torch.linalg.eigh, []

    def eigh(matrix: torch.Tensor) -> object:
        if matrix.dtype == torch.float32:
            refused.append(matrix)
            raise torch.linalg.LinAlgError("linalg.eigh: the algorithm failed to converge")
        return real(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    found = SoftmaxRegression(C=0.1).fit(features, labels)
    assert refused
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-3)

"""Tables of the same images as one table."""

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.heads.features import Features
from embedcache.heads.fit import fit
from embedcache.heads.forms.neighbours import normalised
from embedcache.heads.names import MODEL_NAMES
from embedcache.heads.side_by_side import SideBySide
from embedcache.heads.standardise import FLOOR, Scaler

pytestmark = pytest.mark.usefixtures("few_epochs")

RNG = np.random.default_rng(0)
LABELS = cycle(3, 150)


def view() -> tuple[SideBySide, np.ndarray]:
    """Two tables of which the common rows lie at different places, and both in one array."""
    first = blobs(LABELS, dim=5, spread=1.0, seed=1)
    second = (100 * blobs(LABELS, dim=8, spread=1.0, seed=2)).astype(np.float32)
    order = RNG.permutation(len(LABELS))
    shuffled = np.empty_like(second)
    shuffled[order] = second
    table = SideBySide((first, shuffled), (np.arange(len(LABELS)), order))
    return table, np.concatenate([first.astype(np.float32), second], axis=1)


def test_rows_are_those_of_every_table() -> None:
    """Whole, by rows and by blocks, it reads as the concatenated array does."""
    table, whole = view()
    assert table.shape == whole.shape
    assert (len(table), table.ndim, table.dtype) == (len(whole), 2, np.float32)
    features = Features.of(table)
    assert features.widths == (5, 8)
    assert np.array_equal(features.array(), whole)
    some = np.array([7, 3, 3, 149])
    assert np.array_equal(features.take(some).array(), whole[some])
    for place, block in features.blocks(64):
        assert np.array_equal(block, whole[place])


def test_half_precision_stays_so_until_it_is_read() -> None:
    """Two float16 tables give float16 rows, and float32 where they are computed with."""
    half = np.ones((4, 2), np.float16)
    table = SideBySide((half, half), (np.arange(4), np.arange(4)))
    assert table[np.arange(2)].dtype == np.float16
    assert Features.of(table).array().dtype == np.float32


def test_nothing_of_a_table_is_read_before_its_rows_are_asked_for() -> None:
    """The view holds the tables themselves."""
    table, _ = view()
    assert all(np.shares_memory(part, part) for part in table.tables)
    table.tables[0][3] = 7
    assert (table[np.array([3])][0, :5] == 7).all()


def test_every_source_has_its_own_floor() -> None:
    """Features of a small size are not taken for dead ones beside features of a large size."""
    small, large = RNG.normal(size=(500, 6)), 1000 * RNG.normal(size=(500, 9))
    small[:, 0] *= 1e-4
    table = SideBySide((small, large), (np.arange(500), np.arange(500)))
    scaler = Scaler.of(Features.of(table))
    assert scaler.scale[1:6] == pytest.approx(small[:, 1:].std(axis=0))
    assert scaler.scale[0] == pytest.approx(FLOOR * np.median(small.std(axis=0)))
    apart = [Scaler.fit(small).scale, Scaler.fit(large).scale]
    assert np.array_equal(scaler.scale, np.concatenate(apart))
    again = Scaler.fit(np.concatenate([small, large], axis=1), (6, 9))
    assert np.array_equal(scaler.scale, again.scale)


def test_sources_count_alike_in_a_cosine() -> None:
    """The cosine of two rows is the mean of the sources' cosines, however long their rows."""
    table, whole = view()
    unit = normalised(whole, table.widths)
    apart = [normalised(whole[:, :5]), normalised(whole[:, 5:])]
    expected = sum(part @ part.T for part in apart) / 2
    assert unit @ unit.T == pytest.approx(expected)


VALUES = {
    "logreg": 0.1,
    "ridge": 10.0,
    "linear-svm": 0.01,
    "knn": 10.0,
    "nystroem": 0.1,
    "mlp": 64.0,
    "linear-sgd": 64.0,
}


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_every_model_fits_a_view_as_it_fits_an_array(model: str) -> None:
    """Selection, head and scores are the same as those of tables scaled alike and joined."""
    table, whole = view()
    data = problem(LABELS, features=table)
    values = (VALUES[model],) if model in VALUES else None
    fitted = fit(data, model, values=values)
    assert fitted.report.dim == 13
    answers = fitted.head.predict_proba(whole)
    # Sources of another size change nothing: each is scaled, or made unit, by itself.
    grown = whole * np.repeat([1, 1024], [5, 8]).astype(np.float32)
    tables = (table.tables[0], table.tables[1] * np.float32(1024))
    other = fit(problem(LABELS, features=SideBySide(tables, table.rows)), model, values=values)
    assert other.head.predict_proba(grown) == pytest.approx(answers, abs=1e-3)
    assert fitted.report.evaluation.score("accuracy").value > 0.5

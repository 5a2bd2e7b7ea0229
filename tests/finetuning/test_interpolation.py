"""Part of the way from the weights before a training to those after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_training import RECIPE, RandomBatches, freezing, small_model
from torch import nn

from embedcache.finetuning.interpolation import (
    ALPHAS,
    Point,
    Sweep,
    move_to,
    point_to_take,
    sweep,
)
from embedcache.finetuning.judging import row_losses
from embedcache.finetuning.training import Trained, train
from embedcache.heads.json_records import dump_record, load_record
from embedcache.heads.temperature import fit_temperature

INPUTS, LABELS = RandomBatches().table()


def logits(model: nn.Module) -> NDArray[np.float32]:
    with torch.no_grad():
        return model(INPUTS).numpy()


def trained_model(trained: int = 2) -> tuple[nn.Module, Trained, NDArray[np.float32]]:
    """A model after a training, both ends, and its logits before."""
    model = small_model()
    with torch.no_grad():
        # A weight of −0 would come out of any arithmetic as 0.
        model.get_submodule("head").weight[0, 0] = -0.0
    before = logits(model)
    return model, train(model, RandomBatches(), RECIPE, freezing(trained)), before


class Line(nn.Module):
    """One parameter, which a test's `logits` reads."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))


def alone(rows: int) -> NDArray[np.int32]:
    return np.full(rows, -1, np.int32)


def swept(
    losses: NDArray[np.float64], group: NDArray[np.int32] | None = None
) -> tuple[Sweep, float]:
    """A sweep whose row losses are (11, V) at a temperature of 1, and where it left the model."""
    model, ends = Line(), ({"x": torch.tensor(0.0)}, {"x": torch.tensor(1.0)})

    def judged(model: nn.Module) -> NDArray[np.float32]:
        row = losses[round(10 * model.x.item())]
        # log-loss of class 0 against a logit of 0: log(1 + exp(−logit)).
        own = -np.log(np.expm1(row))
        return np.stack([own, np.zeros_like(own)], axis=1).astype(np.float32)

    rows = losses.shape[1]
    group = alone(rows) if group is None else group
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedcache.finetuning.interpolation.fit_temperature", lambda *_: 1.0)
        found = sweep(model, *ends, judged, np.zeros(rows, np.int64), group)
    return found, model.x.item()


@pytest.mark.parametrize("trained", [0, 1, 3])
def test_no_way_at_all_is_the_frozen_model(trained: int) -> None:
    """At 0 logits and parameters are those before the training, bit by bit, at 1 those after."""
    model, result, before = trained_model(trained)
    after = logits(model)
    assert not np.array_equal(before, after)
    move_to(model, result.initial, result.final, 0.5)
    move_to(model, result.initial, result.final, 0.0)
    assert logits(model).tobytes() == before.tobytes()
    weights = dict(model.named_parameters())
    for name, value in result.initial.items():
        assert weights[name].detach().numpy().tobytes() == value.numpy().tobytes()
    move_to(model, result.initial, result.final, 1.0)
    assert logits(model).tobytes() == after.tobytes()


def test_backbone_and_head_go_together() -> None:
    """A third point is between both ends, in each parameter that moved."""
    model, result, _ = trained_model()
    move_to(model, result.initial, result.final, 0.3)
    weights = dict(model.named_parameters())
    assert any(name.startswith("tower") for name in result.initial)
    assert any(name.startswith("head") for name in result.initial)
    for name, value in result.initial.items():
        expected = 0.7 * value.double() + 0.3 * result.final[name].double()
        torch.testing.assert_close(weights[name].double(), expected, rtol=1e-5, atol=1e-7)


def test_a_sweep_of_a_real_training() -> None:
    """Its ends are the model's own losses, and it leaves the model where it says."""
    model, result, before = trained_model()
    after = logits(model)
    found = sweep(model, result.initial, result.final, logits, LABELS.numpy(), alone(40))
    assert [each.alpha for each in found.points] == list(ALPHAS)
    for point, ends in ((found.points[0], before), (found.points[-1], after)):
        temperature = fit_temperature(ends, LABELS.numpy())
        loss = nn.functional.cross_entropy(torch.from_numpy(ends) / temperature, LABELS)
        assert point.log_loss == pytest.approx(float(loss), rel=1e-5)
    left = logits(model)
    move_to(model, result.initial, result.final, found.alpha)
    assert left.tobytes() == logits(model).tobytes()
    assert load_record(Sweep, dump_record(found)) == found


def test_a_training_that_did_harm_is_taken_back() -> None:
    """Where every step of the way is worse, none is taken."""
    noise = np.random.default_rng(0).uniform(0.2, 0.4, 50)
    found, left = swept(np.stack([noise + 0.1 * alpha + 0.01 * alpha * noise for alpha in ALPHAS]))
    assert (found.alpha, left) == (0.0, 0.0)
    assert found.points[-1].excess > found.points[-1].standard_error > 0


def test_the_least_loss_is_taken_and_a_tie_goes_to_the_smaller_share() -> None:
    """However small the lead: what ships is for the gate to say."""
    losses = np.tile(np.random.default_rng(0).uniform(0.5, 3.0, 80), (11, 1))
    assert swept(losses)[0].alpha == 0
    losses[4:] -= 0.01
    found, left = swept(losses)
    assert found.alpha == 0.4
    assert left == pytest.approx(0.4)
    losses[10, :40] -= 0.1
    losses[10, 40:] += 0.09
    assert swept(losses)[0].alpha == 1.0


@pytest.mark.parametrize(
    ("excess", "accuracy", "taken"),
    [(0.01, 0.9, 7), (0.01, 0.8, 0), (0.03, 0.9, 0), (0.0, 0.8, 0)],
    ids=["right more often", "no more often", "too far from the least", "equal in both"],
)
def test_a_tie_with_the_frozen_model_is_for_the_gate_where_more_rows_are_right(
    excess: float, accuracy: float, taken: int
) -> None:
    """Within a standard error of 0.02 accuracy, which the gate compares, breaks the tie."""
    points = [Point(alpha, 0.3 + 0.1 * alpha, 0.85, 0.1 * alpha, 0.02) for alpha in ALPHAS]
    points[0] = Point(0.0, 0.3, 0.8, 0.0, 0.0)
    for number in range(1, 11):
        points[number] = replace(points[number], log_loss=0.5, excess=0.2)
    points[7] = replace(points[7], log_loss=0.3 + excess, excess=excess, accuracy=accuracy)
    assert point_to_take(points) == taken


def test_rows_that_err_together_count_once() -> None:
    """The error of an excess is over groups; a single one tells nothing, and nothing is taken."""
    losses = np.stack([1 - alpha * np.repeat([0.3, -0.1], 30) for alpha in ALPHAS])
    alone_, grouped = swept(losses)[0], swept(losses, np.repeat([0, 1], 30).astype(np.int32))[0]
    assert alone_.alpha == grouped.alpha == 1
    assert grouped.points[0].standard_error > 3 * alone_.points[0].standard_error
    single, left = swept(losses, np.zeros(60, np.int32))
    assert (single.alpha, left, single.points[3].standard_error) == (0, 0, None)
    assert load_record(Sweep, dump_record(single)) == single


def test_a_model_that_became_too_sure_is_cooled() -> None:
    """Right more often, and its raw log-loss is worse: at its temperature it is the best point."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    noise, own = rng.normal(size=(600, 3)), np.eye(3)[labels]
    frozen, tuned = noise + 1.5 * own, 12 * (noise + 1.8 * own)
    model, ends = Line(), ({"x": torch.tensor(0.0)}, {"x": torch.tensor(1.0)})

    def judged(model: nn.Module) -> NDArray[np.float32]:
        share = model.x.item()
        return ((1 - share) * frozen + share * tuned).astype(np.float32)

    found = sweep(model, *ends, judged, labels, alone(600))
    assert row_losses(judged(model), labels).mean() > row_losses(frozen, labels).mean()
    assert found.alpha == 1
    assert found.temperature == pytest.approx(fit_temperature(judged(model), labels))
    assert found.temperature > 3


def test_the_barrier_is_above_the_straight_line() -> None:
    """A hill between both ends is measured from the line between them; a valley is none."""
    rows = np.ones(6)
    hill = np.stack([rows * (1 - 0.5 * alpha) for alpha in ALPHAS])
    assert swept(hill)[0].barrier == pytest.approx(0, abs=1e-6)
    hill[3] += 0.4
    assert swept(hill)[0].barrier == pytest.approx(0.4, rel=1e-5)
    valley = np.stack([rows * (1 - 2 * alpha * (1 - alpha)) for alpha in ALPHAS])
    assert swept(valley)[0].barrier == 0


def test_logits_that_are_no_numbers_lose() -> None:
    """A point whose logits overflow has the largest loss that there is, and is not chosen."""
    model = Line()

    def judged(model: nn.Module) -> NDArray[np.float32]:
        value = np.nan if model.x.item() else 1.0
        return np.full((5, 2), value, np.float32)

    ends = {"x": torch.tensor(0.0)}, {"x": torch.tensor(1.0)}
    found = sweep(model, *ends, judged, np.zeros(5, np.int64), alone(5))
    assert found.alpha == 0
    assert found.points[1].log_loss == pytest.approx(708.4, abs=0.1)

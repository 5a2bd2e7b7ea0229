"""Training: what moves, what does not, and what it returns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_training import RECIPE, RandomBatches, freezing, small_model
from torch import Tensor, nn

from embedcache.errors import DivergedError, OutOfMemoryError
from embedcache.finetuning.batches import Batch
from embedcache.finetuning.training import train


def states(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("trained", [0, 1, 2, 3])
def test_what_is_frozen_does_not_move(trained: int) -> None:
    """Frozen parameters and all statistics stay bit-equal; every trained parameter moves."""
    model, part = small_model(), freezing(trained)
    before = states(model)
    train(model, RandomBatches(), RECIPE, part)
    for name, value in states(model).items():
        is_parameter = name in dict(model.named_parameters())
        same = torch.equal(value, before[name])
        assert same is not (is_parameter and part.is_trained(name)), name


def test_both_ends_are_given() -> None:
    """`initial` and `final` hold what moved, as it was and as it is, and nothing else."""
    model = small_model()
    before = states(model)
    trained = train(model, RandomBatches(), RECIPE, freezing(1))
    assert set(trained.initial) == set(trained.final)
    assert not any(name.startswith(("tower.stem", "tower.first")) for name in trained.initial)
    for name, value in trained.initial.items():
        assert torch.equal(value, before[name])
        assert torch.equal(trained.final[name], model.state_dict()[name])


def test_it_learns() -> None:
    """The loss of an easy problem falls."""
    losses = train(
        small_model(), RandomBatches(), replace(RECIPE, steps=100), freezing(3)
    ).progress.losses
    assert len(losses) == 50
    assert losses[-1].loss < losses[0].loss - 0.2


def test_micro_batches_give_the_same_steps() -> None:
    """Out of memory halves what is computed at once; the steps stay those of the whole batch."""
    recipe = replace(RECIPE, steps=5)
    model = small_model()
    for each in model.modules():
        if isinstance(each, nn.Dropout):
            each.p = 0.0
    whole = train(model, RandomBatches(), recipe, freezing(3))
    tight = small_model()
    for each in tight.modules():
        if isinstance(each, nn.Dropout):
            each.p = 0.0
    seen: list[int] = []

    def refuse(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(len(arguments[0]))
        if len(arguments[0]) > 3:
            raise torch.OutOfMemoryError

    tight.register_forward_pre_hook(refuse)
    parts = train(tight, RandomBatches(), recipe, freezing(3))
    assert seen[:5] == [8, 4, 2, 2, 2]
    assert set(seen[2:]) == {2}
    assert parts.progress.micro_batch == 2
    for name, value in whole.final.items():
        torch.testing.assert_close(parts.final[name], value, rtol=1e-3, atol=1e-5)


def test_one_row_too_many() -> None:
    """Where not even one row fits, a clear error says what to do."""
    model = small_model()

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    model.register_forward_pre_hook(refuse)
    with pytest.raises(OutOfMemoryError, match="unfreeze"):
        train(model, RandomBatches(), RECIPE, freezing(3))


def test_a_diverged_training_stops() -> None:
    """A loss that is no number ends the training with advice."""
    with pytest.raises(DivergedError, match="--lr"):
        train(small_model(), RandomBatches(), replace(RECIPE, learning_rate=1e30), freezing(3))


def test_rows_count_by_their_weight() -> None:
    """A row of weight 0 has no part in the training."""

    class Weighted(RandomBatches):
        def batch(self, step: int) -> Batch:
            batch = super().batch(step)
            wrong = torch.zeros_like(batch.inputs) + 7
            none = torch.zeros_like(batch.weights)
            return Batch(
                torch.cat([batch.inputs, wrong]),
                batch.labels.repeat(2),
                torch.cat([batch.weights, none]),
            )

    def quiet() -> nn.Module:
        model = small_model()
        for each in model.modules():
            if isinstance(each, nn.Dropout):
                each.p = 0.0
        return model

    plain = train(quiet(), RandomBatches(), RECIPE, freezing(3))
    weighted = train(quiet(), Weighted(), RECIPE, freezing(3))
    for name, value in plain.final.items():
        torch.testing.assert_close(weighted.final[name], value, rtol=1e-3, atol=1e-5)


def test_validation_is_looked_at_five_times() -> None:
    """Before the first step, at each quarter and at the end, and it changes nothing."""

    def judge(model: nn.Module) -> tuple[float, float]:
        assert not model.training
        torch.rand(3)
        return 0.5, 0.75

    judged = train(small_model(), RandomBatches(), RECIPE, freezing(2), judge=judge)
    assert [each.step for each in judged.progress.judged] == [0, 3, 6, 9, 12]
    alone = train(small_model(), RandomBatches(), RECIPE, freezing(2))
    assert all(torch.equal(judged.final[name], value) for name, value in alone.final.items())


def test_the_callers_generator_is_left_alone() -> None:
    """Training draws from its own seeds, and gives the same whatever was drawn before."""
    torch.manual_seed(5)
    first = train(small_model(), RandomBatches(), RECIPE, freezing(3))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    torch.rand(100)
    second = train(small_model(), RandomBatches(), RECIPE, freezing(3), workers=1)
    assert all(torch.equal(first.final[name], value) for name, value in second.final.items())

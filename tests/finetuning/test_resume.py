"""A training that was killed goes on as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from children import start
from small_training import RECIPE, RandomBatches, freezing, small_model
from torch import nn

from embedcache.errors import CacheInvalidError
from embedcache.finetuning.checkpoint import Checkpoint
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.training import Trained, train

LONG = replace(RECIPE, steps=60)


def judge(model: nn.Module) -> tuple[float, float]:
    inputs, labels = RandomBatches().table()
    logits = model(inputs)
    return (
        nn.functional.cross_entropy(logits, labels).item(),
        (logits.argmax(1) == labels).float().mean().item(),
    )


def run(path: Path | None, every: float = 0.0, **options: object) -> Trained:
    checkpoint = None if path is None else Checkpoint(path, "one", every)
    return train(
        small_model(),
        RandomBatches(),
        LONG,
        freezing(2),
        judge=judge,
        checkpoint=checkpoint,
        **options,
    )


def assert_equal(one: Trained, other: Trained) -> None:
    for first, second in ((one.initial, other.initial), (one.final, other.final)):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.progress.losses == other.progress.losses
    assert one.progress.judged == other.progress.judged


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("seed", range(4))
def test_stopped_anywhere_it_ends_bit_equal(tmp_path: Path, seed: int) -> None:
    """However often it dies, with checkpoints at any steps, weights and curves are the same."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    path = tmp_path / "state"
    for _ in range(5):
        last = rng.randrange(60)

        def die(progress: Progress, last: int = last) -> None:
            if progress.step >= last:
                raise _Killed

        try:
            run(path, every=rng.choice([0.0, 0.002]), on_step=die)
        except _Killed:
            continue
    assert_equal(run(path), run(None))


SLOW = """
    import sys, time
    from pathlib import Path
    from test_resume import run

    def slowly(progress):
        print(progress.step, flush=True)
        time.sleep(0.01)

    run(Path(sys.argv[1]), float(sys.argv[2]), on_step=slowly)
    print("done")
"""


def _start(path: Path, every: float) -> object:
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    return start(SLOW, path, every, PYTHONPATH=here + os.pathsep + os.environ.get("PYTHONPATH", ""))


def test_killed_without_warning(tmp_path: Path) -> None:
    """SIGKILL at random moments loses at most what came after the last checkpoint."""
    path, rng = tmp_path / "state", random.Random(3)  # noqa: S311  # no secret
    for _ in range(2):
        with _start(path, 0.0) as child:
            child.stdout.readline()
            time.sleep(rng.random() * 0.3)
            child.kill()
    assert path.is_file()
    assert_equal(run(path), run(None))


@pytest.mark.parametrize("received", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_first(tmp_path: Path, received: signal.Signals) -> None:
    """SIGINT and SIGTERM end the process only after a checkpoint, of the step at work."""
    path = tmp_path / "state"
    with _start(path, 1000.0) as child:
        for _ in range(5):
            child.stdout.readline()
        child.send_signal(received)
        out, _ = child.communicate(timeout=60)
    assert "done" not in out
    assert child.returncode == -received or (received == signal.SIGINT and child.returncode)
    saved = Checkpoint(path, "one", 0.0).load()
    assert saved is not None
    assert 5 <= saved.progress.step < 60
    assert_equal(run(path), run(None))


def test_another_trainings_checkpoint_is_not_used(tmp_path: Path) -> None:
    """A checkpoint goes with its fingerprint."""
    run(tmp_path / "state")
    assert Checkpoint(tmp_path / "state", "one", 0.0).load() is not None
    assert Checkpoint(tmp_path / "state", "two", 0.0).load() is None


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.95])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, place: float) -> None:
    """One flipped bit anywhere is either refused, or in a name that makes it another's."""
    path = tmp_path / "state"
    run(path)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    try:
        assert Checkpoint(path, "one", 0.0).load() is None
    except CacheInvalidError as error:
        assert "anew" in str(error)  # noqa: PT017  # both ends are right


def test_nothing_is_pickled(tmp_path: Path) -> None:
    """The file is safetensors alone."""
    from safetensors.torch import load_file

    run(tmp_path / "state")
    names = set(load_file(tmp_path / "state"))
    assert {name.partition("/")[0] for name in names} == {
        "model",
        "step",
        "exp_avg",
        "exp_avg_sq",
        "loss",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_finished_training_takes_no_step_again(tmp_path: Path) -> None:
    """Killed after its last step, before its result is kept, it ends where it was at once."""
    path, steps = tmp_path / "state", []
    finished = run(path, every=1e9)
    again = run(path, every=1e9, on_step=steps.append)
    assert steps == []
    assert_equal(finished, again)

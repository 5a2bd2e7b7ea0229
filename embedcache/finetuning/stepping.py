"""One step: gradients of a batch in as many parts as memory asks for, then one update.

B is the number of rows in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from embedcache.errors import OutOfMemoryError
from embedcache.finetuning.batches import Batch
from embedcache.finetuning.precision import training_autocast
from embedcache.finetuning.recipe import Recipe

__all__ = ["Stepper"]


class Stepper:
    """Takes steps, and remembers how many rows at once fit into memory.

    Args:
        model: Inputs to logits.
        parameters: The trainable ones.
        optimiser: Of these.
        recipe: Precision, clipping, smoothing.
        micro_batch: Rows at once at first; None for the whole batch.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Sequence[nn.Parameter],
        optimiser: torch.optim.Optimizer,
        recipe: Recipe,
        micro_batch: int | None = None,
    ) -> None:
        self._model = model
        self._parameters = parameters
        self._optimiser = optimiser
        self._recipe = recipe
        self._device = parameters[0].device
        self.micro_batch = micro_batch or recipe.batch_size

    def step(self, batch: Batch, seed: int) -> Tensor:
        """Update the parameters once.

        Out of memory halves the micro-batch, and the same rows come again.

        Args:
            batch: The rows.
            seed: Of dropout.

        Returns:
            The batch's weighted mean loss, a scalar on the device.

        Raises:
            OutOfMemoryError: Even one row does not fit.
        """
        while True:
            self._optimiser.zero_grad(set_to_none=True)
            torch.manual_seed(seed)
            try:
                loss = self._gradients(batch)
                break
            except torch.OutOfMemoryError:
                pass  # leaving the handler frees the tensors that its traceback holds
            self._shrink()
        nn.utils.clip_grad_norm_(self._parameters, self._recipe.clip)
        self._optimiser.step()
        return loss

    def _gradients(self, batch: Batch) -> Tensor:
        total = batch.weights.sum().item()
        loss = torch.zeros((), device=self._device)
        for part in _parts(batch, self.micro_batch):
            inputs, labels, weights = (
                tensor.to(self._device, non_blocking=True)
                for tensor in (part.inputs, part.labels, part.weights)
            )
            with training_autocast(self._device, self._recipe.precision):
                logits = self._model(inputs)
            each = functional.cross_entropy(
                logits.float(),
                labels,
                reduction="none",
                label_smoothing=self._recipe.label_smoothing,
            )
            share = (each * weights).sum() / total
            share.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            loss += share.detach()
        return loss

    def _shrink(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.micro_batch == 1:
            raise OutOfMemoryError(
                "the device cannot hold even one row and its gradients",
                got=str(self._device),
                hint="train fewer blocks (--unfreeze last-1), or --device cpu",
            )
        self.micro_batch = -(-self.micro_batch // 2)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(batch), size):
        rows = slice(start, start + size)
        yield Batch(batch.inputs[rows], batch.labels[rows], batch.weights[rows])

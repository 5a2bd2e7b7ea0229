"""`Objective`: the penalised log-loss of many problems at once, in one pass over the rows.

P is the number of problems, K the logits of each, F the number of folds, N the
number of rows, D the dimension, M = P · K the columns of all problems together.
A problem's objective is scikit-learn's, `C · Σ w ℓ + ½ ‖W‖²`, divided by
`C · Σ w`: a mean loss, whose scale depends on neither C nor N.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from embedcache.heads.solver.parallel import summed
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.sides import Sides
from embedcache.heads.solver.targets import Targets

__all__ = ["Objective", "Value"]

_SEARCHED, _ITEMS = 1024, 2**20
"""Rows that a length is searched for on, and logits of theirs: up to twice as many."""

_NEVER = -1e30
"""Added to the logit of a class that is unseen: no power of it is above 0, and times 0 it is 0."""

_FARTHEST, _HALVINGS = 3.0, 6
"""A length is 2 to a power between −3 and 3; halving that range so often finds it to 4 %."""


@dataclass(frozen=True, eq=False)
class Value:
    """Objective and gradient of each problem.

    Attributes:
        value: (P,) float64.
        gradient: (P, K, D + 1), the intercept's last.
    """

    value: torch.Tensor
    gradient: torch.Tensor


@dataclass(frozen=True, eq=False)
class Objective:
    """P problems over the same rows. Parameters are (P, K, D + 1), the intercept last.

    Attributes:
        rows: Features.
        targets: Labels.
        sides: Training parts and scalers.
        c: (P,) float64, C of each problem.
        fold: (P,) int64, its row of `sides`.
        label: (P,) int64, its row of `targets.shares` if it is a sigmoid.
        intercept: Whether there is one.
        dtype: Of parameters and products; float64 for the last polish.
        half: Whether the products are of bfloat16, several times as fast where the processor
            has instructions for them. Rounding is independent from row to row, so that it
            averages out: ELPV and synthetic features were solved to 1e-5 of the optimum.
    """

    rows: Rows
    targets: Targets
    sides: Sides
    c: torch.Tensor
    fold: torch.Tensor
    label: torch.Tensor
    intercept: bool
    dtype: torch.dtype
    half: bool = False

    def __len__(self) -> int:
        return len(self.c)

    @property
    def penalty(self) -> torch.Tensor:
        """(P,) float64: 1 / (C Σ w), the curvature of the penalty."""
        return 1 / (self.c * self.sides.sums[self.fold])

    def subset(self, which: torch.Tensor) -> Objective:
        """The problems of the given indices."""
        return replace(self, c=self.c[which], fold=self.fold[which], label=self.label[which])

    def start(self) -> torch.Tensor:
        """Parameters of zero."""
        shape = (len(self), self.targets.k, self.rows.d + 1)
        return torch.zeros(shape, dtype=self.dtype, device=self.rows.device)

    def __call__(self, parameters: torch.Tensor) -> Value:
        """Objective and gradient at parameters (P, K, D + 1)."""
        weights, bias = self._fold_in(parameters)
        p, k, d = weights.shape
        product = torch.bfloat16 if self.half else self.dtype
        columns, bias = weights.view(-1, d).to(product), (bias + self._barred).view(-1, 1)
        at_zero = not bool(parameters.any())  # as every first fit begins: no product tells more

        def share(blocks: list[slice]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            loss = torch.zeros(p, dtype=torch.float64, device=weights.device)
            slope = torch.zeros(p * k, d, dtype=self.dtype, device=weights.device)
            total = torch.zeros(p, k, dtype=torch.float64, device=weights.device)
            # Space for every block in turn: fresh memory for each took a quarter of the time.
            size = p * k * max(rows.stop - rows.start for rows in blocks)
            space = torch.empty(size, dtype=self.dtype, device=weights.device)
            narrow = torch.empty_like(space, dtype=product) if self.half else space
            for rows in blocks:
                x = self.rows.block(rows, product)
                logits = space[: p * k * len(x)].view(p * k, -1)
                residual = narrow[: p * k * len(x)].view(p * k, -1)
                if at_zero:
                    logits.copy_(bias.expand_as(logits))
                elif self.half:
                    torch.add(torch.mm(columns, x.T, out=residual), bias, out=logits)
                else:
                    torch.addmm(bias, columns, x.T, out=logits)
                row_weight = self.sides.weights[:, rows][self.fold].to(self.dtype)
                row_loss = self._residual(logits.view(p, k, -1), rows, row_weight)
                loss += (row_loss * row_weight).sum(1, dtype=torch.float64)
                total += logits.view(p, k, -1).sum(2)
                if self.half:
                    slope += residual.copy_(logits) @ x
                else:
                    slope.addmm_(residual, x)
            return loss, slope, total

        loss, slope, total = summed(self.rows.workers.share(share, self.rows.blocks))
        return self._penalise(parameters, loss, slope.view(p, k, d), total.to(self.dtype))

    def probabilities(self, parameters: torch.Tensor, rows: slice) -> torch.Tensor:
        """(P, K, n) of some rows; of "yes" for sigmoids."""
        product = torch.bfloat16 if self.half else self.dtype
        logits = self._logits(parameters, self.rows.block(rows, product))
        logits += self._barred[..., None]
        return logits.softmax(1) if self.targets.is_softmax else logits.sigmoid()

    def length(
        self, parameters: torch.Tensor, direction: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        """(P,) float64: how far along a direction the minimum is, by some of the rows.

        They tell how the slope changes on the way from what it is here for all rows, (P,): near
        the minimum the slope by some rows would be that of their own minimum.
        """
        p, k = parameters.shape[:2]
        sampled, counted = [], torch.zeros_like(slope)
        for rows in self.rows.sample(min(_SEARCHED, max(1, _ITEMS // (p * k)))):
            x = self.rows.block(rows, self.dtype)
            start, along = (self._logits(each, x) for each in (parameters, direction))
            start += self._barred[..., None]
            weight = self.sides.weights[:, rows][self.fold].to(self.dtype)
            sampled.append((rows, weight, start, along))
            counted += weight.sum(1, dtype=torch.float64)
        bend = self.penalty * direction[..., :-1].square().sum((1, 2), dtype=torch.float64)

        def tilt(length: torch.Tensor) -> torch.Tensor:
            total = torch.zeros_like(slope)
            for rows, weight, start, along in sampled:
                logits = start + length.to(self.dtype)[:, None, None] * along
                self._residual(logits, rows, weight)
                total += (logits * along).sum((1, 2), dtype=torch.float64)
            return total / counted

        here, power, step = tilt(torch.zeros_like(slope)), torch.zeros_like(slope), _FARTHEST
        for _ in range(_HALVINGS):
            length = power.exp2()
            step /= 2
            uphill = slope + length * bend + tilt(length) - here > 0
            power += torch.where(uphill, -step, step)
        return torch.where(counted > 0, power.exp2(), 1.0)

    def _logits(self, parameters: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(P, K, n) of rows (n, D), by products of their dtype."""
        weights, bias = self._fold_in(parameters)
        p, k, d = weights.shape
        product = weights.view(-1, d).to(x.dtype) @ x.T
        return product.view(p, k, -1) + bias[..., None]

    @property
    def _barred(self) -> torch.Tensor:
        """(P, K), or (P, 1) of zeros: what is added to logits of unseen classes."""
        if self.sides.unseen is None:
            return torch.zeros(len(self), 1, dtype=self.dtype, device=self.rows.device)
        return self.sides.unseen[self.fold].to(self.dtype) * _NEVER

    def _fold_in(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (P, K, D) and bias (P, K) that apply to the common rows."""
        shift, stretch = self.sides.shift[self.fold], self.sides.stretch[self.fold]
        weights = parameters[..., :-1] * stretch.to(self.dtype)[:, None]
        bias = parameters[..., -1] - (weights @ shift.to(self.dtype)[:, :, None])[..., 0]
        return weights, bias

    def _penalise(
        self,
        parameters: torch.Tensor,
        loss: torch.Tensor,
        slope: torch.Tensor,
        total: torch.Tensor,
    ) -> Value:
        shift, stretch = self.sides.shift[self.fold], self.sides.stretch[self.fold]
        sums = self.sides.sums[self.fold]
        gradient = torch.empty_like(parameters)
        slope -= total[:, :, None] * shift.to(self.dtype)[:, None]
        slope *= (stretch / sums[:, None]).to(self.dtype)[:, None]
        weights = parameters[..., :-1]
        gradient[..., :-1] = slope + self.penalty.to(self.dtype)[:, None, None] * weights
        gradient[..., -1] = total / sums.to(self.dtype)[:, None] if self.intercept else 0.0
        norm = weights.square().sum((1, 2), dtype=torch.float64)
        return Value(loss / sums + self.penalty * norm / 2, gradient)

    def _residual(
        self, logits: torch.Tensor, rows: slice, row_weight: torch.Tensor
    ) -> torch.Tensor:
        """Log-loss (P, n) of a block; its logits (P, K, n) become w · (p − y), in place."""
        if not self.targets.is_softmax:
            assert self.targets.shares is not None
            yes = self.targets.shares[:, rows][self.label].to(self.dtype)
            z = logits[:, 0]
            loss = torch.nn.functional.softplus(z) - yes * z
            z.sigmoid_().sub_(yes).mul_(row_weight)
            return loss
        logits -= logits.amax(1, keepdim=True)
        weight = row_weight[:, None]
        if self.targets.codes is not None:
            codes = self.targets.codes[:, rows].expand(len(logits), 1, -1)
            target = logits.gather(1, codes)
            total = logits.exp_().sum(1, keepdim=True)
            logits *= weight / total
            logits.scatter_add_(1, codes, -weight)
            return (total.log_() - target)[:, 0]
        assert self.targets.shares is not None
        shares = self.targets.shares[:, rows].to(self.dtype)
        target = (logits * shares).sum(1, keepdim=True)
        total = logits.exp_().sum(1, keepdim=True)
        logits *= weight / total
        logits -= weight * shares
        return (total.log_() - target)[:, 0]

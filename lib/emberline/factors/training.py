"""The iterations of one fit of alternating least squares, on ratings that are blocks already."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from emberline.cf.als.objective import Loss, Objective
from emberline.cf.als.solvers import Solver
from emberline.factors.checkpoint import Checkpoint
from emberline.factors.exchange import Exchange
from emberline.factors.validation import Validation
from emberline.logs import event
from emberline.sections.als import AlsConfig

log = logging.getLogger(__name__)
Row = dict[str, Any]
Progress = Callable[[str], None]
PARTS = ("loss", "observed", "unobserved", "regularisation")


@dataclass
class Training:
    """The iterations of one fit."""

    exchange: Exchange
    objective: Objective
    config: AlsConfig
    checkpoint: Checkpoint
    validation: Validation | None
    progress: Progress
    compiled: bool

    def __post_init__(self) -> None:
        self.history = list(self.checkpoint.history)
        self.best = self.checkpoint.best
        config = self.config
        self.solver = Solver(
            config.solver,
            config.cg_steps,
            config.subspace,
            config.nonnegative,
            compiled=self.compiled,
        )
        self.exact = replace(self.solver, name="exact")

    def run(self) -> Row:
        """Iterate, and solve the users exactly from the best items; the parts of the loss that
        this comes to.
        """
        while len(self.history) < self.config.iterations and not self._has_stalled():
            is_last = len(self.history) + 1 == self.config.iterations and self.validation is None
            self._iterate(self.exact if is_last else self.solver)
            if is_last:
                return {name: self.history[-1][name] for name in PARTS}
        return self._finish()

    def _finish(self) -> Row:
        if self.best not in (0, len(self.history)):
            self.exchange.restore("item", self.checkpoint.files("item", self.best))
        users = self.exchange.half_step("user", self.objective, self.exact)
        if not self.history:  # nobody has computed the items' regularisation
            return {"observed": users.observed, "unobserved": users.unobserved(self.objective)}
        return self._parts(
            users, self.history[(self.best or len(self.history)) - 1]["item_regularisation"]
        )

    def _iterate(self, users_solver: Solver) -> None:
        began = time.monotonic()
        items = self.exchange.half_step("item", self.objective, self.solver)
        users = self.exchange.half_step("user", self.objective, users_solver)
        row = {
            "iteration": len(self.history) + 1,
            **self._parts(users, items.penalty),
            "item_regularisation": items.penalty,
        }
        row |= self.validation.measure(self.exchange, self.objective) if self.validation else {}
        self.history.append(row | {"seconds": time.monotonic() - began})
        log.info(event("als_iteration", **self.history[-1]))
        self.progress(
            f"iteration {row['iteration']} of {self.config.iterations}: loss {row['loss']:.5g}"
        )
        self._store()

    def _store(self) -> None:
        iteration = len(self.history)
        is_best = self.validation is not None and (
            not self.best or self._measure(iteration) < self._measure(self.best)
        )
        self.best = iteration if is_best else self.best
        if is_best or iteration % self.config.checkpoint_every == 0:
            self.checkpoint.store(self.exchange, self.history, self.best)

    def _has_stalled(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.best > 0 and len(self.history) - self.best >= patience

    def _measure(self, iteration: int) -> float:
        """What is to be small."""
        row = self.history[iteration - 1]
        return float(row["rmse"] if "rmse" in row else -row["auc"])

    def _parts(self, users: Loss, item_regularisation: float) -> Row:
        parts = (
            users.observed,
            users.unobserved(self.objective),
            users.penalty + item_regularisation,
        )
        return dict(zip(PARTS, (sum(parts), *parts), strict=True))

"""Where a training stands: what a checkpoint holds besides arrays."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where training stands; what a checkpoint holds besides arrays. `waited` counts epochs
    since the best one.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_accuracy: float = 0.0
    best_epoch: int = 0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def takes(self, measured: dict[str, float]) -> bool:
        """Whether an epoch is better than the best so far, and is that from now on.

        Classes are compared by what is reported of them, accuracy, and where that is equal by the
        loss; factors by the loss. The loss of classes grows long before they get worse: a net
        becomes surer of its mistakes.
        """
        accuracy, loss = measured.get("val_accuracy", 0.0), measured["val_loss"]
        is_better = (-accuracy, loss) < (-self.best_accuracy, self.best_loss)
        if is_better:
            self.best_accuracy, self.best_loss = accuracy, loss
        return is_better

"""Steps of training in each precision, and compiled by XLA, on this machine's processor: pictures a
second of all cores' time, and how long the first step takes, which traces and compiles.

Pictures are drawn, 32 x 32 in colour, 64 a step; precisions take turns, of which the best counts.
"""

import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from emberline.cnn.model import build
from emberline.cnn.reader import Batch
from emberline.cnn.strategy import make_strategy
from emberline.cnn.trainer import Trainer, make_optimizer
from emberline.sections.cnn import CnnConfig

ROWS, CLASSES, ROUNDS = 64, 10, 3
STEPS, FEW_STEPS = 6, 1  # a turn takes; the latter where half precision is emulated
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, xla": {"xla": True},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "mixed_bfloat16, xla": {"precision": "mixed_bfloat16", "xla": True},
    "mixed_float16": {"precision": "mixed_float16"},
}


@dataclass
class Way:
    """A trainer, and what it has been measured: pictures a second of processor time."""

    trainer: Trainer
    steps: int
    first: float = 0.0
    speeds: list[float] = field(default_factory=list)


def main() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (ROWS, 32, 32, 3)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, ROWS).astype(np.int32)
    batch = [Batch(pixels, labels, np.ones(ROWS, np.float32), float(ROWS))]
    table = Table("network", "precision", "pictures/s", "beside float32", "first step s")
    for model in ("cifar", "resnet"):
        ways = {name: way(model, settings) for name, settings in WAYS.items()}
        for each in ways.values():
            began = time.process_time()
            each.trainer.train([batch], 1)
            each.first = time.process_time() - began
        for _ in range(ROUNDS):
            for each in ways.values():
                began = time.process_time()
                each.trainer.train([batch] * each.steps, each.steps)
                each.speeds.append(ROWS * each.steps / (time.process_time() - began))
        exact = max(ways["float32"].speeds)
        for name, each in ways.items():
            best = max(each.speeds)
            table.add_row(model, name, f"{best:,.0f}", f"{best / exact:.2f}x", f"{each.first:.1f}")
    Console().print(table)


def way(model: str, settings: dict[str, Any]) -> Way:
    config = CnnConfig.model_validate({"model": model, "deterministic": False, **settings})
    strategy = make_strategy(1, deterministic=False)
    net = build(config, (32, 32, 3), [0.5] * 3, [0.25] * 3, CLASSES)
    trainer = Trainer(strategy, net, make_optimizer(config, 1000), "class", config)
    return Way(trainer, FEW_STEPS if config.precision == "mixed_float16" else STEPS)


if __name__ == "__main__":
    main()

"""What the network learns instead of an item's factors: the main components of the standardised factors.

Few components carry what pictures can know; the rest is noise to them. The way back is affine, and becomes the model's last
layer.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Components:
    """`(factors - mean) @ forward` are targets of variance 1 at most; `targets @ back + mean` are factors.

    mean: (rank,); forward: (rank, count); back: (count, rank).
    """

    mean: Float32
    forward: Float32
    back: Float32

    def targets(self, factors: Float32) -> Float32:
        """(n, count) of factors (n, rank)."""
        centred: Float32 = factors - self.mean
        return centred @ self.forward


def fit_components(factors: Float32, count: int) -> Components:
    """The `count` main components (or as many as there are) of factors (n, rank), each factor first divided by its deviation.

    All are divided by the first one's deviation: their sizes relative to each other say how much each matters.
    """
    mean = factors.mean(axis=0, dtype=np.float64)
    deviation = factors.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-12
    spread = np.where(varies, deviation, 1)
    _, sizes, directions = np.linalg.svd((factors - mean) / spread, full_matrices=False)
    main = directions[: min(count, len(directions))] * varies  # no component carries a constant factor
    scale = max(sizes[0] / np.sqrt(len(factors)), 1e-12)
    forward, back = main.T / spread[:, None] / scale, main * spread * scale
    return Components(mean.astype(np.float32), forward.astype(np.float32), back.astype(np.float32))

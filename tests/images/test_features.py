"""What models without a network see, beside NumPy's own figures."""

from collections import Counter

import numpy as np
import pyarrow as pa

from emberline.cf.plain import SEEN
from emberline.images import features

RNG = np.random.default_rng(5)


def test_plain_features_are_averages_and_directions() -> None:
    pictures = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    pictures[4] = 77
    columns = [
        pa.array(range(5), pa.int32()),
        ["train"] * 5,
        [picture.tobytes() for picture in pictures],
    ]
    batch = pa.record_batch(columns, names=["item", "split", "pixels"])
    found = pa.Table.from_batches(
        features.plain_features([batch.slice(0, 2), batch.slice(2)], (32, 32, 3))
    )
    assert found.schema == pa.schema([("item", pa.int32()), *SEEN])
    assert found["item"].to_pylist() == list(range(5))
    corners = [pictures[:, top::2, left::2].astype(float) for top in (0, 1) for left in (0, 1)]
    averages = (sum(corners) / 4 / 255).reshape(5, -1)
    np.testing.assert_allclose(found["pixels"].to_pylist(), averages, rtol=1e-5)
    direction = np.array(found["pixel_direction"].to_pylist())
    np.testing.assert_allclose(
        (direction @ direction.T)[:4, :4], np.corrcoef(averages[:4]), atol=1e-5
    )
    assert not direction[4].any()
    shares = np.zeros((5, 64))
    for row, picture in enumerate(pictures):
        for (red, green, blue), times in Counter(
            map(tuple, (picture.reshape(-1, 3) // 64).tolist())
        ).items():
            shares[row, red * 16 + green * 4 + blue] = times / 1024
    colour = np.array(found["colour_direction"].to_pylist())
    np.testing.assert_allclose(colour @ colour.T, np.corrcoef(shares), atol=1e-5)
    roots = np.array(found["colours"].to_pylist())
    np.testing.assert_allclose(roots @ roots.T, np.sqrt(shares) @ np.sqrt(shares).T, atol=1e-5)

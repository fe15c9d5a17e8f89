"""Steps of training, beside the same arithmetic on one device, in NumPy, or by hand."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from emberline.cnn.reader import Batch
from emberline.errors import ConfigError
from emberline.sections.cnn import CnnConfig, OptimizerConfig

SHAPE = (20, 20, 1)
CLASSES = 3


def batch(rows: int, seed: int, weights: list[float] | None = None) -> Batch:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, *SHAPE)).astype(np.uint8)
    weight = np.array([1.0] * rows if weights is None else weights, np.float32)
    return Batch(
        pixels, rng.integers(0, CLASSES, rows).astype(np.int32), weight, float(weight.sum())
    )


def split(whole: Batch, replicas: int) -> list[Batch]:
    parts = [
        [
            np.array_split(array, replicas)[r]
            for array in (whole.pixels, whole.targets, whole.weights)
        ]
        for r in range(replicas)
    ]
    return [Batch(*part, whole.total) for part in parts]


@pytest.fixture(scope="module")
def make(tensorflow: Any) -> Any:
    """`make(replicas, task, **settings)`: a trainer of a fresh model, the same weights each
    time.
    """
    from emberline.cnn.model import build
    from emberline.cnn.strategy import make_strategy
    from emberline.cnn.trainer import Trainer, make_optimizer

    # two at once mix up their sums
    strategies = {replicas: make_strategy(replicas, deterministic=True) for replicas in (1, 2)}

    def make_trainer(
        replicas: int = 1,
        task: str = "class",
        steps: int = 10,
        teaching: Any = None,
        **settings: Any,
    ) -> Trainer:
        optimizer = {
            key: settings.pop(key) for key in OptimizerConfig.model_fields & settings.keys()
        }
        config = CnnConfig.model_validate(
            {
                "optimizer": {"name": "sgd", "learning_rate": 0.05} | optimizer,
                "team": {"replicas": replicas},
            }
            | settings
        )
        strategy = strategies[replicas]
        with strategy.scope():
            return Trainer(
                strategy,
                build(config, SHAPE, [0.5], [0.25], CLASSES),
                make_optimizer(config, steps),
                task,
                config,
                teaching,
            )

    return make_trainer


def sums(steps: Any) -> tuple[float, float]:
    return steps.loss_sum, steps.weight_sum


def outputs(trainer: Any, pixels: np.ndarray) -> np.ndarray:
    return trainer.model(pixels, training=False).numpy().astype(np.float64)


@pytest.mark.parametrize("model", ["cifar", pytest.param("resnet", marks=pytest.mark.faults)])
def test_two_replicas_learn_what_one_learns(make: Any, model: str) -> None:
    batches = [batch(16, seed) for seed in range(10)]
    one, two = (make(replicas, model=model, learning_rate=0.01) for replicas in (1, 2))
    first, second = (
        one.train([[whole] for whole in batches], 10),
        two.train([split(whole, 2) for whole in batches], 10),
    )
    assert sums(first) == pytest.approx(sums(second), rel=1e-4)
    for left, right in zip(one.values(), two.values(), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-5)


def test_rows_of_weight_zero_do_not_count(make: Any) -> None:
    filled = batch(8, 1, weights=[1, 1, 1, 1, 1, 0, 0, 0])
    alone = Batch(filled.pixels[:5], filled.targets[:5], filled.weights[:5], 5.0)
    left, right = make(), make()
    assert sums(left.train([[filled]], 1)) == pytest.approx(
        sums(right.train([[alone]], 1)), rel=1e-6
    )
    for values in zip(left.values(), right.values(), strict=True):
        np.testing.assert_allclose(*values, atol=1e-6)


def test_the_loss_is_the_mean_cross_entropy_of_the_batch(make: Any) -> None:
    trainer, whole = make(), batch(6, 2)
    logits = outputs(trainer, whole.pixels)
    entropy = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), whole.targets]
    assert sums(trainer.train([[whole]], 1)) == pytest.approx((entropy.sum(), 6.0), rel=1e-5)


def test_the_loss_of_factors_is_the_squared_error_summed_over_components(make: Any) -> None:
    trainer, whole = make(task="factors"), batch(6, 2)
    targets = np.random.default_rng(3).normal(size=(6, CLASSES)).astype(np.float32)
    error = ((outputs(trainer, whole.pixels) - targets) ** 2).sum()
    assert trainer.train(
        [[Batch(whole.pixels, targets, whole.weights, 6.0)]], 1
    ).loss_sum == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(("replicas", "task"), [(2, "class"), (1, "factors")])
def test_a_taught_network_learns_what_is_true_and_what_its_teacher_says(
    make: Any, replicas: int, task: str
) -> None:
    """The loss as Hinton, Vinyals and Dean have it, by SciPy, for a teacher that is another net."""
    from emberline.cnn.losses import Teaching

    teacher, whole = make(seed=5).model, batch(6, 2)
    if task == "factors":
        truth = np.random.default_rng(3).normal(size=(6, CLASSES)).astype(np.float32)
        whole = Batch(whole.pixels, truth, whole.weights, 6.0)
    teaching = Teaching(lambda pixels: teacher(pixels, training=False), 0.75, 3.0)
    trainer = make(replicas, task=task, teaching=teaching)
    told, said = teacher(whole.pixels).numpy().astype(np.float64), outputs(trainer, whole.pixels)
    if task == "class":
        own = -log_softmax(said, axis=1)[np.arange(6), whole.targets]
        theirs = rel_entr(softmax(told / 3, axis=1), softmax(said / 3, axis=1)).sum(axis=1) * 9
    else:
        own, theirs = (((each - said) ** 2).sum(axis=1) for each in (whole.targets, told))
    expected = (0.25 * own + 0.75 * theirs).sum()
    taken = trainer.train([split(whole, replicas)], 1)
    assert taken.loss_sum == pytest.approx(expected, rel=1e-5)


def test_a_network_that_is_taught_alone_gets_its_teachers_answers(make: Any) -> None:
    from emberline.cnn.losses import Teaching

    teacher, whole = make(seed=5).model, batch(16, 2)
    before = [variable.numpy() for variable in teacher.variables]
    teaching = Teaching(lambda pixels: teacher(pixels, training=False), 1.0, 1.0)
    trainer = make(teaching=teaching, name="adam", learning_rate=0.01)
    told = teacher(whole.pixels).numpy()
    far = np.abs(outputs(trainer, whole.pixels) - told).mean()
    trainer.train([[whole]] * 60, 60)
    near = softmax(outputs(trainer, whole.pixels), axis=1) - softmax(told, axis=1)
    assert np.abs(near).max() < 0.05 < far
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)  # who teaches learns nothing


def test_a_step_of_plain_gradient_descent_is_the_gradients(make: Any, tensorflow: Any) -> None:
    """Of the last layer's bias, whose gradient is known: probabilities less ones at the true
    classes, over the rows.
    """
    trainer, whole = make(momentum=0.0), batch(4, 5)
    logits = outputs(trainer, whole.pixels)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = (probability - np.eye(CLASSES)[whole.targets]).mean(axis=0)
    before = trainer.model.get_layer("outputs").bias.numpy()
    trainer.train([[whole]], 1)
    np.testing.assert_allclose(
        trainer.model.get_layer("outputs").bias.numpy(), before - 0.05 * gradient, atol=1e-6
    )


def test_a_loss_that_is_not_finite_ends_training(make: Any) -> None:
    from emberline.cnn.trainer import NotFiniteError

    with pytest.raises(NotFiniteError, match=r"the loss is (nan|inf)") as caught:
        make(learning_rate=1e30).train([[batch(8, seed)] for seed in range(5)], 5)
    # the first step's loss is that of the weights as they were drawn
    assert caught.value.taken == 1


def test_steps_end_where_somebody_asks_to_stop_one_step_later(make: Any) -> None:
    """The votes of a step are read while the next one is computed."""
    trainer, batches = make(), iter([[batch(8, seed)] for seed in range(9)])
    asked = iter([False, False, True, True, True, True])
    steps = trainer.train(batches, 9, lambda: next(asked))
    assert steps.stopped
    assert steps.taken == int(trainer.optimizer.iterations.numpy()) == 4
    assert len(list(batches)) == 5


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_gradient_of_the_whole_batch_is_clipped(make: Any, replicas: int) -> None:
    """A step of plain gradient descent is then as long as the learning rate times the norm, and
    in the direction it had.
    """
    whole = batch(8, 3)
    plain, clipped = (
        make(momentum=0.0, replicas=replicas),
        make(momentum=0.0, replicas=replicas, clip_norm=0.01),
    )
    start = plain.model_values()
    for trainer in (plain, clipped):
        trainer.train([split(whole, replicas)], 1)
    steps = [
        [after - before for after, before in zip(t.model_values(), start, strict=True)]
        for t in (plain, clipped)
    ]
    free, bound = (
        np.concatenate([step.ravel() for step in each]).astype(np.float64) for each in steps
    )
    assert np.linalg.norm(free) > 0.05 * 0.02
    assert np.linalg.norm(bound) == pytest.approx(0.05 * 0.01, rel=1e-3)
    assert free @ bound == pytest.approx(np.linalg.norm(free) * np.linalg.norm(bound), rel=1e-4)


@pytest.mark.faults
@pytest.mark.parametrize(("precision", "replicas"), [("mixed_bfloat16", 1), ("mixed_float16", 2)])
def test_mixed_precision_learns_about_the_same(make: Any, precision: str, replicas: int) -> None:
    batches = [split(batch(16, seed), replicas) for seed in range(3)]
    exact = make(replicas, clip_norm=1.0).train(batches, 3)
    mixed_trainer = make(replicas, clip_norm=1.0, precision=precision)
    mixed = mixed_trainer.train(batches, 3)
    assert mixed_trainer.model.get_layer("embedding").compute_dtype == precision.removeprefix(
        "mixed_"
    )
    assert mixed_trainer.model.get_layer("embedding").kernel.dtype == "float32"
    assert mixed_trainer.model(batches[0][0].pixels).dtype.name == "float32"
    assert 0 < abs(mixed.loss_sum - exact.loss_sum) < 0.05 * exact.loss_sum
    import keras

    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.faults
def test_steps_compiled_by_xla_are_the_same_to_rounding(make: Any) -> None:
    batches = [[batch(8, seed)] for seed in range(3)]
    plain, compiled = (make(model="resnet", xla=xla) for xla in (False, True))
    assert sums(plain.train(batches, 3)) == pytest.approx(
        sums(compiled.train(batches, 3)), rel=1e-4
    )
    for left, right in zip(plain.values(), compiled.values(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("rows", [1, 3, 1030])
def test_a_measure_is_the_sum_over_rows_however_they_are_cut(
    make: Any, replicas: int, rows: int
) -> None:
    trainer, whole = make(replicas), batch(rows, 7)
    logits = outputs(trainer, whole.pixels)
    entropy = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(rows), whole.targets]
    loss, correct = trainer.measure(whole.pixels, whole.targets)
    assert loss == pytest.approx(entropy.sum(), rel=1e-6)
    assert correct == (logits.argmax(axis=1) == whole.targets).sum()


def test_no_replica_measures_a_batch_without_rows(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's convolutions refuse some of those, now and then."""
    trainer, sizes = make(2), []
    spread = trainer._spread

    def seen(values: list[Any]) -> Any:
        sizes.append([len(value) for value in values])
        return spread(values)

    monkeypatch.setattr(trainer, "_spread", seen)
    whole = batch(1025, 7)  # 512 for each, and one row
    trainer.measure(whole.pixels, whole.targets)
    assert sizes == 3 * [[512, 512]] + 3 * [[1, 1]]


def test_weight_decay_spares_biases(make: Any) -> None:
    """With decay, a step shrinks the kernels besides; biases move as without it."""
    plain, decayed, whole = make(momentum=0.0), make(momentum=0.0, weight_decay=0.1), batch(8, 1)
    start = dict(zip((v.path for v in plain.model.variables), plain.model_values(), strict=True))
    for trainer in (plain, decayed):
        trainer.train([[whole]], 1)
    for left, right in zip(
        plain.model.trainable_variables, decayed.model.trainable_variables, strict=True
    ):
        shrunk = 0.05 * 0.1 * start[left.path] if "kernel" in left.path else 0.0
        np.testing.assert_allclose(
            left.numpy() - right.numpy(), shrunk, atol=2e-6, err_msg=left.path
        )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "constant"}, {0: 1.0, 50: 1.0, 99: 1.0}),
        ({"schedule": "constant", "warmup_steps": 4}, {0: 0.25, 1: 0.5, 3: 1.0, 50: 1.0}),
        ({"schedule": "cosine"}, {0: 1.0, 25: (1 + math.cos(math.pi / 4)) / 2, 50: 0.5, 100: 0.0}),
        ({"schedule": "step"}, {0: 1.0, 49: 1.0, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}),
        ({"schedule": "cosine", "warmup_steps": 10}, {4: 0.5, 9: 1.0, 55: 0.5, 100: 0.0}),
    ],
)
def test_the_learning_rate_follows_its_schedule(
    make: Any, settings: dict[str, Any], expected: dict[int, float]
) -> None:
    optimizer = make(epochs=10, steps=10, **settings).optimizer
    found = {}
    for step in expected:
        optimizer.iterations.assign(step)
        found[step] = float(optimizer.learning_rate.numpy()) / 0.05
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("model", ["cifar", "resnet"])
def test_a_model_scales_pixels_and_gives_its_embedding(make: Any, model: str) -> None:
    from emberline.cnn.model import with_embedding, with_frozen_layer

    trainer, pixels = make(model=model), batch(4, 1).pixels
    scaled = trainer.model.get_layer("scaled")(pixels).numpy()
    np.testing.assert_allclose(scaled, (pixels / 255 - 0.5) / 0.25, atol=1e-5)
    outputs, embedding = (array.numpy() for array in with_embedding(trainer.model)(pixels))
    last = trainer.model.get_layer("outputs")
    np.testing.assert_allclose(
        outputs, embedding @ last.kernel.numpy() + last.bias.numpy(), atol=1e-5
    )
    kernel, bias = np.ones((CLASSES, 2), np.float32), np.array([1, -1], np.float32)
    mapped = with_frozen_layer(trainer.model, kernel, bias)(pixels).numpy()
    np.testing.assert_allclose(mapped, outputs @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("model", ["cifar", "resnet"])
def test_half_the_width_has_about_a_quarter_of_the_weights(tensorflow: Any, model: str) -> None:
    from emberline.cnn.model import build

    whole, half, least = (
        build(CnnConfig(model=model, width=width), (32, 32, 3), [0.5] * 3, [0.2] * 3, 10)
        for width in (1.0, 0.5, 0.01)
    )
    assert 0.24 < half.count_params() / whole.count_params() < 0.29
    assert least.get_layer("embedding").output.shape[-1] == 4


def test_pictures_that_are_too_small_are_refused(tensorflow: Any) -> None:
    from emberline.cnn.model import build

    with pytest.raises(
        ConfigError,
        match=r'the network "cifar" needs pictures of at least 18 pixels on a side, found 16 x 20',
    ):
        build(CnnConfig(), (16, 20, 3), [0.5] * 3, [0.2] * 3, 2)

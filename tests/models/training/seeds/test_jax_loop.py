"""Training with Keras on JAX, in one process with that backend: equal to TensorFlow's, alone and batched."""

import numpy as np
import pytest

from models.training.seeds.jax_loop import rounded_up
from models.training.window_loop import CompiledLoop
from tests.support.fit_task import small_task
from tests.support.jax_training import JaxRun, start_weights


def test_from_the_same_weights_jax_trains_as_tensorflow(jax_run: JaxRun) -> None:
    task = small_task((0,), mask_rate=0.0, learning_rate=0.02)
    loop = CompiledLoop(task.config, task.train, task.masked_columns)
    loop.restart(0, start_weights())
    losses = loop.loss_on(task.validation)
    expected = [[loop.epoch(0, number), losses()] for number in (1, 2, 3)]
    assert np.allclose(jax_run.facts["losses"], expected, atol=1e-6)
    assert expected[2][0] < expected[0][0]
    found = jax_run.arrays("as_tensorflow")
    assert all(np.allclose(found[name], array, atol=1e-5) for name, array in loop.weights().items())


def test_nothing_is_learned_from_a_masked_reference(jax_run: JaxRun) -> None:
    moved = jax_run.arrays("masked")["moved"]
    assert (moved[2:] < 1e-4).all()
    assert (moved[:2] > 1e-3).all()


def test_a_seed_has_the_same_result_alone_after_others_and_batched(jax_run: JaxRun) -> None:
    alone = jax_run.facts["val_losses"]
    assert len(set(alone)) == 3
    assert jax_run.facts["again"] == pytest.approx([alone[2], alone[0]], rel=1e-6)
    assert jax_run.facts["batched"] == pytest.approx(alone, rel=1e-5)
    alternating = [[seed, epoch, epoch == 3] for epoch in (1, 2, 3) for seed in (3, 1, 2)]
    assert (
        jax_run.facts["ends"] == [[seed, epoch, epoch == 3] for seed in (3, 1, 2) for epoch in (1, 2, 3)] + alternating
    )


def test_the_device_is_recorded_and_no_other_framework_is_imported(jax_run: JaxRun) -> None:
    assert jax_run.facts["device"]["kind"] == "cpu"
    assert jax_run.facts["device"]["backend"].startswith("jax 0.")
    assert jax_run.facts["modules"] == []


@pytest.mark.parametrize(("count", "rounded"), [(0, 0), (15, 15), (16, 16), (17, 18), (182, 192), (186_495, 196_608)])
def test_sizes_are_rounded_up_by_an_eighth_at_most(count: int, rounded: int) -> None:
    # 186,495 has 18 binary digits: steps of 2^14 = 16,384, of which twelve are 196,608.
    assert rounded_up(count) == rounded

"""The compiled loop on small literal windows: determinism, masks, batches, learning."""

from dataclasses import replace

import numpy as np
import pytest

from models.config import QUANTILES, ModelConfig, Strategy, Weighting
from models.errors import TooLittleHistory, UnknownNetwork
from models.networks import get_network
from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import PooledWindows
from models.training.fit_seed import fit_seed, with_median_share
from models.training.window_loop import CompiledLoop, batch_size_for, compiled_loop

LOOKBACK, FEATURES = 2, 4
NO_MASKS = np.zeros((0, FEATURES), np.float32)


def config(**changes: object) -> ModelConfig:
    fields: dict[str, object] = {"lookback": LOOKBACK, "units": 4, "batch_size": 64, "seeds": (0,), "mask_rate": 0.0}
    return ModelConfig("lstm", Strategy.ONE_STEP, **{**fields, **changes})


def windows(count: int, inputs_from: int = 0, shift: float = 0.0) -> PooledWindows:
    draw = np.random.default_rng(inputs_from)
    inputs = draw.normal(size=(count + LOOKBACK - 1, FEATURES)).astype(np.float32)
    none = np.zeros(count, np.int64)
    return PooledWindows(
        inputs=inputs,
        ends=np.arange(count) + LOOKBACK - 1,
        lookback=LOOKBACK,
        sigma=np.full(count, 0.01),
        targets=np.random.default_rng(1).normal(size=(count, 1)) + shift,
        symbol_index=none,
        as_of=none.astype("datetime64[D]"),
        final_at=none.astype("datetime64[s]"),
        target_final_at=none[:, None].astype("datetime64[s]"),
    )


def trained(settings: ModelConfig, fit: PooledWindows, masks: np.ndarray = NO_MASKS, epochs: int = 2) -> Weights:
    loop = CompiledLoop(settings, fit, masks)
    loop.restart(settings.seeds[0])
    for epoch in range(1, epochs + 1):
        loop.epoch(settings.seeds[0], epoch)
    return loop.weights()


def same(one: Weights, other: Weights, tolerance: float = 1e-6) -> bool:
    return all(np.allclose(one[name], other[name], atol=tolerance) for name in one)


def test_training_approaches_the_median_of_the_targets() -> None:
    settings = config(learning_rate=0.05)
    fit = windows(640, shift=1.0)
    forecast = get_network("lstm").forward(trained(settings, fit, epochs=15), fit.gather())
    assert forecast[:, 0, 3].mean() == pytest.approx(1.0, abs=0.15)
    assert forecast[:, 0, 0].mean() == pytest.approx(1.0 - 1.96, abs=0.4)


def test_the_weights_of_a_seed_do_not_depend_on_earlier_seeds() -> None:
    fit = windows(640)
    loop = CompiledLoop(config(seeds=(4, 9)), fit, NO_MASKS)
    ended = []
    for seed in (4, 9, 4):
        loop.restart(seed)
        for epoch in (1, 2):
            loop.epoch(seed, epoch)
        ended.append(loop.weights())
    assert same(ended[0], ended[2])
    assert not same(ended[0], ended[1], tolerance=1e-3)


def test_nothing_is_learned_from_a_reference_that_is_always_masked() -> None:
    masks = np.array([[0, 0, 1, 1]], np.float32)
    # At a rate of 2 every draw is below half of it: the whole window is masked every time.
    loop = CompiledLoop(config(mask_rate=2.0), windows(640), masks)
    loop.restart(0)
    start = loop.weights()["kernel"]
    for epoch in (1, 2):
        loop.epoch(0, epoch)
    moved = np.abs(loop.weights()["kernel"] - start).max(axis=1)
    # Only the weight decay, 2e-7 of a weight a step, moves the rows of columns that are always 0.
    assert (moved[2:] < 1e-4).all()
    assert (moved[:2] > 1e-3).all()


def test_half_of_the_masks_hide_only_the_newest_session() -> None:
    masks = np.array([[0, 0, 1, 1]], np.float32)
    fit = windows(640)
    other = windows(640)
    other.inputs[LOOKBACK - 1 :: LOOKBACK, 2:] += 5.0
    # Only every second window is kept, so all changed rows are newest sessions.
    chosen = np.arange(0, 640, LOOKBACK)
    at_one = config(mask_rate=1.0, batch_size=64)
    assert same(trained(at_one, fit.select(chosen), masks), trained(at_one, other.select(chosen), masks))


def test_loss_on_is_the_sigma_weighted_pinball() -> None:
    scored = windows(2)
    scored.targets[:] = [[0.0], [np.log(2.0)]]
    scored.sigma[:] = [0.01, 0.03]
    scored.inputs[:] = 0.0
    loop = CompiledLoop(config(), windows(64), NO_MASKS)
    loop.restart(0)
    # On inputs of 0 a new network returns ln 2 * (-3..3). At 0 the seven losses sum to (3 * .025 + 2 * .1 + .25) * 2
    # = 1.05 ln 2; at ln 2 to .025 * 4 + .1 * 3 + .25 * 2 + .5 below it and .1 + .025 * 2 above, 1.55 ln 2.
    expected = np.log(2.0) * (0.5 * 1.05 + 1.5 * 1.55) / 7 / 2
    assert loop.loss_on(scored)() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("count", "batch"), [(186_495, 1024), (49_152, 1024), (49_151, 512), (12_000, 128), (1_000, 64), (40, 40)]
)
def test_few_windows_train_in_small_batches(count: int, batch: int) -> None:
    # 12,000 windows: 128 is the first halving of 1,024 with 48 steps an epoch (256 * 48 = 12,288).
    assert batch_size_for(count, 1024) == batch


def test_no_window_is_refused() -> None:
    with pytest.raises(TooLittleHistory, match="no window to train on"):
        CompiledLoop(config(), windows(64).select(np.zeros(64, bool)), NO_MASKS)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownNetwork, match="choose one of"):
        CompiledLoop(ModelConfig("transformer", Strategy.ONE_STEP), windows(64), NO_MASKS)


def expected_loss(quantiles: np.ndarray, fit: PooledWindows, weights: np.ndarray) -> float:
    errors = fit.targets[:, :, None] - quantiles
    levels = np.array(QUANTILES)
    losses = np.maximum(levels * errors, (levels - 1) * errors).mean(axis=(1, 2))
    return float((losses * weights).mean())


@pytest.mark.parametrize(("weighting", "expected"), [(Weighting.EVEN, [1, 1]), (Weighting.SIGMA, [0.5, 1.5])])
def test_windows_have_equal_weights_or_weights_by_sigma(weighting: Weighting, expected: list[float]) -> None:
    fit = replace(windows(640), sigma=np.repeat([0.01, 0.03], 320))
    loop = CompiledLoop(config(weighting=weighting), fit, NO_MASKS)
    quantiles = get_network("lstm").forward(loop.weights(), fit.gather())
    assert loop.loss_on(fit)() == pytest.approx(expected_loss(quantiles, fit, np.repeat(expected, 320)), rel=1e-5)


def test_the_loss_with_a_median_share_is_that_of_the_shrunk_weights() -> None:
    fit = windows(640, shift=1.0)
    loop = CompiledLoop(config(median_share=0.1, learning_rate=0.05), fit, NO_MASKS)
    for epoch in (1, 2, 3):
        loop.epoch(0, epoch)
    assert loop.medians == pytest.approx(np.median(fit.targets, axis=0), rel=1e-6)
    shared = with_median_share(loop.weights(), loop.medians, 0.1)
    quantiles = get_network("lstm").forward(shared, fit.gather())
    assert loop.loss_on(fit)() == pytest.approx(expected_loss(quantiles, fit, np.ones(640)), rel=1e-5)
    plain = get_network("lstm").forward(loop.weights(), fit.gather())
    assert abs(plain[:, 0, 3] - quantiles[:, 0, 3]).max() > 0.05


def test_a_loop_that_is_used_again_trains_as_a_new_one() -> None:
    settings, first, second = config(median_share=0.5, learning_rate=0.05), windows(640), windows(700, 5, shift=1.0)
    ended = []
    for fit in (first, second):
        loop = compiled_loop(settings, fit, NO_MASKS)
        loop.restart(0)
        for epoch in (1, 2):
            loop.epoch(0, epoch)
        ended.append(loop)
    assert ended[0] is ended[1]
    assert ended[1].medians == pytest.approx(np.median(second.targets, axis=0), rel=1e-6)
    assert same(ended[1].weights(), trained(settings, second))


def test_a_loop_that_trained_other_seeds_groups_and_served_weights_gives_equal_results() -> None:
    settings, own, other = config(learning_rate=0.05, seeds=(0, 1)), windows(640), windows(700, 5, shift=1.0)
    loop = compiled_loop(settings, other, NO_MASKS)
    start = {name: np.full_like(array, 0.25) for name, array in loop.weights().items()}
    for seed, weights in ((0, None), (1, start)):
        fit_seed(loop, settings, seed, loop.loss_on(other), lambda _end: None, weights)
    results = [
        fit_seed(each, replace(settings, max_epochs=3), 1, each.loss_on(own), lambda _end: None)
        for each in (
            compiled_loop(replace(settings, seeds=(1,)), own, NO_MASKS),
            CompiledLoop(replace(settings, seeds=(1,)), own, NO_MASKS),
        )
    ]
    assert loop is compiled_loop(settings, own, NO_MASKS)
    assert same(results[0][0], results[1][0])
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-6)


def test_another_config_or_batch_size_has_a_loop_of_its_own() -> None:
    loop = compiled_loop(config(), windows(640), NO_MASKS)
    assert compiled_loop(config(learning_rate=0.5), windows(640), NO_MASKS) is not loop
    assert compiled_loop(config(), windows(40), NO_MASKS) is not loop
    # Only the loop that was asked for last keeps its windows in memory.
    assert not hasattr(loop, "_train")
    with pytest.raises(TooLittleHistory):
        compiled_loop(config(), windows(64).select(np.zeros(64, bool)), NO_MASKS)

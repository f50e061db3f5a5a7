"""Refits that start from served weights: which weights count, how they are placed, and how long it takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig, Schedule, Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import Artifact, save_artifact
from models.networks import WINDOW_NETWORKS, get_network
from models.networks.config import NetworkSpec
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS, spatiotemporal_weights
from models.preprocessing.splits import Spans
from models.training.base_loop import Trainer
from models.training.fit_seed import fit_seed, served_weights, warm_epochs, with_median_share, without_median_share
from models.training.refit_check import Predecessor
from models.training.warm_start import starting_artifact

CONFIG = ModelConfig("lstm", Strategy.ONE_STEP, lookback=2, units=3, seeds=(0, 7))


class Placed(Trainer):
    """A trainer that trains nothing."""

    def weights(self) -> Weights:
        name = self._model_config.forecaster
        if name in SPATIOTEMPORAL_NETWORKS:
            return spatiotemporal_weights(self._model)
        return get_network(name).weights(self._model)


def placed(name: str) -> Placed:
    config = replace(CONFIG, forecaster=name, strategy=Strategy.MULTI_STEP)
    if name in SPATIOTEMPORAL_NETWORKS:
        spec = SpatiotemporalSpec(2, 3, 4, 2, 3, 3)
        return Placed(config, lambda seed: SPATIOTEMPORAL_NETWORKS[name].build(replace(spec, seed=seed)))
    return Placed(config, lambda seed: get_network(name).build(NetworkSpec.of(config, 4, seed)))


@pytest.mark.parametrize("name", [*sorted(WINDOW_NETWORKS), *sorted(SPATIOTEMPORAL_NETWORKS)])
def test_the_weights_of_every_network_are_placed_by_name(name: str) -> None:
    loop = placed(name)
    loop.restart(7)
    served = loop.weights()
    loop.restart(0)
    assert any(not np.array_equal(served[key], array) for key, array in loop.weights().items())
    loop.restart(0, served)
    assert all(np.array_equal(served[key], array) for key, array in loop.weights().items())


def test_weights_of_another_network_are_refused() -> None:
    loop = placed("linear")
    served = loop.weights()
    assert loop.fits(served)
    other = {**served, "head_bias": np.zeros(5, np.float32)}
    assert not loop.fits(other)
    with pytest.raises(ArtifactError, match="other names or shapes"):
        loop.restart(0, other)


def test_without_median_share_undoes_with_median_share() -> None:
    draw = np.random.default_rng(3)
    weights = {
        "head_kernel": draw.normal(size=(3, 14)).astype(np.float32),
        "head_bias": draw.normal(size=14).astype(np.float32),
    }
    medians = np.array([0.02, 0.05], np.float32)
    back = without_median_share(with_median_share(weights, medians, 0.1), medians, 0.1)
    assert all(np.allclose(weights[name], back[name], atol=1e-5) for name in weights)
    # Nothing of the median is left at a share of 0.
    assert without_median_share(weights, medians, 0.0) is weights


class Counting:
    """A loop whose weights are its number of epochs, and that remembers its rates."""

    def __init__(self) -> None:
        self.done, self.rates = 0.0, [0.0]

    def restart(self, seed: int, start: Weights | None = None) -> None:
        self.done = 0.0 if start is None else float(start["a"][0])

    def fits(self, start: Weights) -> bool:
        return set(start) == {"a"}

    def set_rate(self, rate: float) -> None:
        self.rates.append(rate)

    def epoch(self, seed: int, number: int) -> float:
        self.done += 1.0
        return 0.0

    def weights(self) -> Weights:
        return {"a": np.array([self.done], np.float32)}


def test_a_warm_training_takes_a_fifth_of_the_epochs_at_a_tenth_of_the_rate() -> None:
    config = replace(CONFIG, max_epochs=20, patience=20, learning_rate=0.02, schedule=Schedule.COSINE)
    assert [warm_epochs(replace(config, max_epochs=count)) for count in (1, 8, 10, 20)] == [1, 1, 2, 4]
    loop = Counting()
    start = {"a": np.array([100.0], np.float32)}
    best, loss, epochs = fit_seed(loop, config, 0, lambda: -loop.done, lambda _end: None, start)
    assert (best["a"][0], loss, epochs) == (104.0, -104.0, 4)
    assert loop.rates == [0.0, pytest.approx(0.002)]


def test_the_served_weights_are_kept_if_no_epoch_is_better() -> None:
    loop = Counting()
    start = {"a": np.array([100.0], np.float32)}
    best, loss, _ = fit_seed(loop, replace(CONFIG, max_epochs=20), 0, lambda: loop.done, lambda _end: None, start)
    assert (best["a"][0], loss) == (100.0, 100.0)


def test_weights_of_which_a_seed_does_not_fit_are_not_used() -> None:
    fitting, other = {"a": np.zeros(1, np.float32)}, {"b": np.zeros(1, np.float32)}
    assert set(served_weights(Counting(), {0: fitting, 7: fitting})) == {0, 7}
    assert served_weights(Counting(), {0: fitting, 7: other}) == {}
    assert served_weights(Counting(), {}) == {}


def day(text: str) -> np.datetime64:
    return np.datetime64(text, "D")


def spans(train_end: str, validation_end: str) -> Spans:
    none, instant = np.zeros(0, bool), np.datetime64("2018-12-31", "s")
    return Spans(
        none, none, none, (day("2010-01-04"), day(train_end)), (day("2017-09-01"), day(validation_end)),
        (day("2018-01-02"), day("2018-12-31")), instant, instant, instant,
    )  # fmt: skip


def saved(folder: Path, config: ModelConfig = CONFIG, validation_end: str = "2017-12-20") -> Predecessor:
    weights = {seed: {"a": np.array([float(seed)], np.float32)} for seed in config.seeds}
    found = {"train": ["2010-01-04", "2017-08-20"], "validation": ["2017-08-28", validation_end]}
    return Predecessor(*save_artifact(Artifact(config, {}, weights, {"spans": found}), folder), 4)


def test_weights_of_an_equal_config_are_returned_by_seed(tmp_path: Path) -> None:
    found = starting_artifact(saved(tmp_path), CONFIG, spans("2017-08-25", "2017-12-27"))
    assert found is not None
    assert {seed: float(arrays["a"][0]) for seed, arrays in found.weights.items()} == {0: 0.0, 7: 7.0}


def test_weights_that_saw_a_session_of_the_test_span_are_not_used(tmp_path: Path) -> None:
    later = saved(tmp_path, validation_end="2017-12-28")
    assert starting_artifact(later, CONFIG, spans("2017-08-25", "2017-12-27")) is None
    assert starting_artifact(saved(tmp_path), CONFIG, spans("2017-08-19", "2017-12-27")) is None


def test_another_config_a_missing_artifact_and_no_version_start_anew(tmp_path: Path) -> None:
    own = spans("2017-08-25", "2017-12-27")
    assert starting_artifact(None, CONFIG, own) is None
    assert starting_artifact(saved(tmp_path), replace(CONFIG, units=4), own) is None
    assert starting_artifact(saved(tmp_path, replace(CONFIG, seeds=(0,))), CONFIG, own) is None
    assert starting_artifact(Predecessor(tmp_path / "none", "0" * 64), CONFIG, own) is None

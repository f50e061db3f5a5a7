"""A training split by seed and carried to another place gives the bytes of the training in one process."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig, Strategy
from models.errors import ArtifactError, TooLittleHistory
from models.forecasting.artifact import unpack_artifact
from models.forecasting.network_forecaster import load_forecaster
from models.gate import Evidence
from models.training import fit
from models.training.device import Compute, Device
from models.training.fit import VERSION
from models.training.refit_check import Predecessor
from models.training.seed_tasks import (
    PortableRequest,
    SeedResult,
    SeedTask,
    check_result,
    finish_request,
    fit_seed_task,
    make_portable,
    seed_tasks,
)
from models.training.train import TrainedArtifact, TrainRequest, train
from tests.support.factories import SPY, VIX, make_panel, with_changes

PANEL = make_panel(1400, seed=3)
CUT_AT = PANEL.histories[0].final_at[-40]
LINEAR = ModelConfig(
    "linear", Strategy.MULTI_STEP, references=(SPY, VIX), seeds=(5, 2), max_epochs=2, batch_size=1024
)  # fmt: skip


def ignore(_progress: object) -> None:
    """Ignore progress."""


def split(portable: PortableRequest) -> list[SeedResult]:
    """Train the seeds in the opposite order, as a cluster may."""
    tasks = seed_tasks(portable.request, 0)
    results = [fit_seed_task(portable, task, ignore) for task in reversed(tasks)]
    return [result for result in results if result is not None]


def carried(request: TrainRequest, directory: Path) -> tuple[TrainedArtifact, Path]:
    portable = make_portable(request)
    artifact, packed = finish_request(portable, split(portable))
    return artifact, unpack_artifact(packed, directory)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> TrainedArtifact:
    """Return a version to start from, trained on less history."""
    directory = tmp_path_factory.mktemp("first")
    return train(TrainRequest(PANEL, LINEAR, PANEL.histories[0].final_at[-80], directory), ignore)


def test_a_refit_with_evidence_has_the_same_bytes(first: TrainedArtifact, tmp_path: Path) -> None:
    served = Predecessor(first.path, first.sha256, 7)
    request = TrainRequest(PANEL, LINEAR, CUT_AT, tmp_path / "here", True, served, served)
    here = train(request, ignore)
    there, path = carried(request, tmp_path / "there")
    assert here.metrics["started_from"] == here.metrics["predecessor"]["version"] == 7
    assert (there.sha256, there.data_hash, there.metrics) == (here.sha256, here.data_hash, here.metrics)
    assert path.name == here.path.name
    assert {each.name: each.read_bytes() for each in path.iterdir()} == {
        each.name: each.read_bytes() for each in here.path.iterdir()
    }
    assert isinstance(here.evidence, Evidence)
    assert isinstance(there.evidence, Evidence)
    for name in ("days", "loss", "walk"):
        np.testing.assert_array_equal(getattr(there.evidence, name), getattr(here.evidence, name))


def test_a_spatiotemporal_network_has_the_same_forecasts(tmp_path: Path) -> None:
    # Its convolutions sum in the order in which threads finish: two trainings in one process differ in the last bits.
    config = replace(LINEAR, forecaster="conv_lstm", units=2, max_epochs=1)
    request = TrainRequest(PANEL, config, CUT_AT, tmp_path / "here")
    here = train(request, ignore)
    there, path = carried(request, tmp_path / "there")
    assert there.metrics["val_loss"] == pytest.approx(here.metrics["val_loss"], rel=1e-5)
    assert there.metrics["epochs"] == here.metrics["epochs"] == [1, 1]
    batches = [load_forecaster(*each).forecast(PANEL) for each in ((here.path, here.sha256), (path, there.sha256))]
    np.testing.assert_allclose(batches[1].quantiles, batches[0].quantiles, rtol=1e-4, atol=1e-7)


def test_the_random_walk_has_no_seeds_and_the_same_bytes(tmp_path: Path) -> None:
    request = TrainRequest(PANEL, replace(LINEAR, forecaster="random_walk"), CUT_AT, tmp_path)
    assert seed_tasks(request, 1) == ()
    assert carried(request, tmp_path / "there")[0].sha256 == train(request, ignore).sha256


def test_there_is_a_task_for_each_seed_and_fold() -> None:
    request = TrainRequest(PANEL, LINEAR, CUT_AT, Path())
    assert seed_tasks(request, 3) == (SeedTask(5, VERSION, 3), SeedTask(2, VERSION, 3))
    tasks = seed_tasks(replace(request, with_evidence=True), 1)
    assert [(task.fold, task.seed) for task in tasks] == [(-1, 5), (-1, 2), (0, 5), (0, 2), (1, 5), (1, 2)]


def test_too_little_history_leaves_out_a_fold_and_refuses_a_version() -> None:
    portable = make_portable(TrainRequest(PANEL, LINEAR, PANEL.histories[0].final_at[700], Path(), with_evidence=True))
    assert fit_seed_task(portable, SeedTask(5, 0, 0), ignore) is None
    with pytest.raises(TooLittleHistory):
        fit_seed_task(portable, SeedTask(5, VERSION, 0), ignore)


def test_a_seed_is_trained_on_the_device_of_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def record(*arguments: object) -> None:
        asked.extend((arguments[1], arguments[5]))
        raise TooLittleHistory("enough is known")

    monkeypatch.setattr(fit, "fit_config", record)
    request = TrainRequest(PANEL, LINEAR, CUT_AT, Path(), compute=Compute(Device.CPU, 4))
    with pytest.raises(TooLittleHistory, match="enough is known"):
        fit_seed_task(make_portable(request), SeedTask(2, VERSION, 0), ignore)
    assert asked == [replace(LINEAR, seeds=(2,)), Compute(Device.CPU, 1)]


def test_a_result_of_other_inputs_or_altered_weights_is_refused() -> None:
    portable = make_portable(TrainRequest(PANEL, LINEAR, CUT_AT, Path()))
    result = fit_seed_task(portable, SeedTask(5, VERSION, 0), ignore)
    assert result is not None
    check_result(portable, result)
    other = replace(PANEL, histories=(with_changes(PANEL.histories[0], slice(3, 4), 1), *PANEL.histories[1:]))
    with pytest.raises(ArtifactError, match="from other inputs"):
        check_result(make_portable(replace(portable.request, panel=other)), result)
    name, array = next(iter(result.trained.weights.items()))
    altered = replace(result.trained, weights={**result.trained.weights, name: array + np.float32(1e-6)})
    with pytest.raises(ArtifactError, match="the weights of seed 5 were altered"):
        check_result(portable, replace(result, trained=altered))


def test_a_digest_is_of_all_that_decides_the_result(first: TrainedArtifact) -> None:
    request = TrainRequest(PANEL, LINEAR, CUT_AT, Path("a"))
    served = Predecessor(first.path, first.sha256, 7)
    changed = [
        replace(request, config=replace(LINEAR, seeds=(5, 3))),
        replace(request, cut_at=PANEL.histories[0].final_at[-41]),
        replace(request, with_evidence=True),
        replace(request, predecessor=served),
        replace(request, start_from=served),
        replace(request, start_from=replace(served, version=8)),
    ]
    digests = {make_portable(each).digest for each in (request, *changed)}
    assert len(digests) == 7
    assert make_portable(replace(request, directory=Path("b"))).digest == make_portable(request).digest

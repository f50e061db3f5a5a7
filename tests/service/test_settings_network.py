"""TPLUS_NETWORK: the network that is trained, by name, and the refusal of a name that nobody registered."""

from datetime import date
from pathlib import Path

import pytest

from models.config import Strategy
from models.networks.registry import NETWORKS
from service.bootstrap import open_service
from service.db.session import Database
from service.errors import SettingsError
from service.runtime.context import network_of
from service.settings import Settings, load_settings
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import ServiceOptions, make_service


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("values", "name", "window"),
    [
        ({}, "lstm", 5),
        ({"network": "stacked_lstm", "lookback": 22}, "stacked_lstm", 22),
        ({"network": "encoder_decoder"}, "encoder_decoder", 5),
        ({"network": "stateful_lstm"}, "stateful_lstm", 40),
        ({"network": "stateful_lstm", "lookback": 60}, "stateful_lstm", 60),
    ],
)
def test_recipes_are_of_the_network_set(
    database: Database, tmp_path: Path, values: dict[str, object], name: str, window: int
) -> None:
    source = RecordedWalks([Walk("AAA", date(2024, 1, 2), date(2024, 3, 28), seed=1)])
    service = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA",), values))
    configs = service.context.configs("equity")
    assert {strategy: (config.forecaster, config.lookback) for strategy, config in configs.items()} == {
        strategy: (name, window) for strategy in Strategy
    }


@pytest.mark.parametrize("name", ["transformer", "LSTM", "", "random_walk"])
def test_an_unknown_network_is_refused_at_start_with_the_names_there_are(name: str, tmp_path: Path) -> None:
    settings = load_settings({"TPLUS_NETWORK": name, "TPLUS_DATA_DIR": str(tmp_path / "data")})
    with pytest.raises(SettingsError) as caught, open_service(settings):
        pass
    sentence = str(caught.value)
    assert sentence.startswith(f"TPLUS_NETWORK={name!r} cannot be used: there is no network named {name!r};")
    assert all(known in sentence for known in ("encoder_decoder", "lstm", "stacked_lstm", "stateful_lstm"))
    assert "\n" not in sentence
    # Refused before anything was made: no folder, no database.
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_registered_network_can_be_chosen_and_is_described(name: str) -> None:
    assert network_of(Settings(network=name)).name == name
    assert f"`{name}`" in str(Settings.model_fields["network"].description)

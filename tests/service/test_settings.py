"""Settings from the environment: what is read, and the sentence for everything that is wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import ClockSetting, Settings, load_settings


def test_defaults_replay_the_sample() -> None:
    settings = load_settings({})
    assert (settings.source, settings.market_clock) == ("sample", ClockSetting("replay", None, 5.0, 64))
    assert (settings.host, settings.port, settings.lookback, settings.seeds) == ("127.0.0.1", 8000, 5, (0, 1, 2))
    assert settings.reference_symbols == ("SPY", "^VIX")


def test_lists_are_split_at_commas() -> None:
    settings = load_settings({"TPLUS_SYMBOLS": " AAPL, 7203.T ,", "TPLUS_SEEDS": "4,5", "TPLUS_GROUPS": "GLD=metal"})
    assert (settings.symbols, settings.seeds) == (("AAPL", "7203.T"), (4, 5))
    assert settings.group_of == {"GLD": "metal"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("system", ClockSetting("system")),
        ("replay:2018-12-20", ClockSetting("replay", datetime(2018, 12, 20, tzinfo=UTC), 5.0, 64)),
        ("replay:2018-12-20T23:00:00Z", ClockSetting("replay", datetime(2018, 12, 20, 23, tzinfo=UTC), 5.0, 64)),
        ("replay:2018-12-20T23:00Z:0.5", ClockSetting("replay", datetime(2018, 12, 20, 23, tzinfo=UTC), 0.5)),
        ("replay:0", ClockSetting("replay", None, 0.0)),
    ],
)
def test_clocks_are_read(text: str, expected: ClockSetting) -> None:
    assert load_settings({"TPLUS_CLOCK": text}).market_clock == expected


@pytest.mark.parametrize(
    ("clock", "every", "sessions"),
    [
        ("system", None, 5),
        ("replay", None, 20),
        ("replay:2018-12-20", None, 20),
        ("replay:0", None, 5),
        ("replay", 7, 7),
    ],
)
def test_sessions_between_trainings(clock: str, every: int | None, sessions: int) -> None:
    values = {"TPLUS_CLOCK": clock} | ({} if every is None else {"TPLUS_TRAIN_EVERY": str(every)})
    assert load_settings(values).sessions_per_training == sessions


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TPLUS_LOOKBACK", "0", "TPLUS_LOOKBACK='0' cannot be used"),
        ("TPLUS_LOOKBACK", "61", "TPLUS_LOOKBACK='61' cannot be used"),
        ("TPLUS_PORT", "eighty", "TPLUS_PORT='eighty' cannot be used"),
        ("TPLUS_PORT", "70000", "TPLUS_PORT='70000' cannot be used"),
        ("TPLUS_CLOCK", "tomorrow", "must be system or replay"),
        ("TPLUS_CLOCK", "replay:20th May", "must be system or replay"),
        ("TPLUS_CLOCK", "replay:2018-02-30", "TPLUS_CLOCK='replay:2018-02-30' cannot be used"),
        ("TPLUS_SOURCE", "google", "must be sample, yahoo or files:DIR"),
        ("TPLUS_SOURCE", "files:", "must be sample, yahoo or files:DIR"),
        ("TPLUS_SEEDS", "", "TPLUS_SEEDS is empty"),
        ("TPLUS_SEEDS", "one", "TPLUS_SEEDS='one' cannot be used"),
        ("TPLUS_GROUPS", "GLD", "must be SYMBOL=group"),
        ("TPLUS_LOG_LEVEL", "loud", "TPLUS_LOG_LEVEL='loud' cannot be used"),
        ("TPLUS_SOURCE", "yahoo", "set TPLUS_CLOCK=system"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"TPLUS_PORT.*TPLUS_LOOKBACK|TPLUS_LOOKBACK.*TPLUS_PORT"):
        load_settings({"TPLUS_PORT": "0", "TPLUS_LOOKBACK": "99"})


def test_a_misspelt_setting_is_refused_with_a_hint() -> None:
    with pytest.raises(SettingsError, match="TPLUS_SYMBOL is not a setting; did you mean TPLUS_SYMBOLS"):
        load_settings({"TPLUS_SYMBOL": "AAPL"})
    with pytest.raises(SettingsError, match="TPLUS_XYZZY is not a setting; see the table"):
        load_settings({"TPLUS_XYZZY": "1"})


def test_other_variables_are_left_alone() -> None:
    assert load_settings({"PORT": "9", "XTPLUS_PORT": "9"}).port == 8000


def test_a_database_password_is_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"TPLUS_DATABASE_URL": "postgresql://me:secret@host/x", "TPLUS_LOOKBACK": "0"})
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(load_settings({"TPLUS_DATABASE_URL": "postgresql://me:secret@host/x"}))


def test_each_source_and_clock_has_a_file_of_its_own(tmp_path: Path) -> None:
    folder = {"TPLUS_DATA_DIR": str(tmp_path)}
    kinds = [
        {},
        {"TPLUS_CLOCK": "system"},
        {"TPLUS_SOURCE": f"files:{tmp_path / 'a'}"},
        {"TPLUS_SOURCE": f"files:{tmp_path / 'b' / 'a'}"},
    ]
    settings = [load_settings(folder | kind) for kind in kinds]
    assert len({each.url for each in settings}) == len({each.artifact_dir for each in settings}) == 4
    assert settings[0].url == f"sqlite:///{tmp_path}/tplus-sample-replay.db"
    other_start = load_settings(folder | {"TPLUS_CLOCK": "replay:2012-01-03"})
    assert other_start.url == settings[0].url


def test_settle_and_grace_are_spans() -> None:
    settings = load_settings({"TPLUS_SETTLE_MINUTES": "15"})
    assert settings.settle("XNYS") == timedelta(minutes=15)
    assert settings.settle("24/7") == timedelta(minutes=60)
    assert settings.grace == timedelta(hours=3)


def test_a_source_folder_that_cannot_be_resolved_is_reported() -> None:
    with pytest.raises(SettingsError, match=r"TPLUS_SOURCE=files:~no-such-user/x: .*; name a folder with price files"):
        _ = Settings(source="files:~no-such-user/x").source_name

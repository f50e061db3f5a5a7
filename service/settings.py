"""Settings of the service, from environment variables `TPLUS_*`; nothing else reads the environment."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from service.api_settings import ApiSettings, TextList, split_list
from service.compute_settings import DEVICES, ComputeSettings
from service.errors import SettingsError
from service.validation_messages import shown, validation_rule
from service.vocabulary import CONTINUOUS_CALENDARS

PREFIX = "TPLUS_"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that prometheus-client reads when it is imported: it then counts in files that processes share."""
DEFAULT_SPEED = 5.0
"""Real seconds per replayed day of a clock without a SPEED, after its fast start."""
FAST_SESSIONS = 64
"""Sessions that a replay without a SPEED does as fast as possible.

The first forecast is made before the first training, and the last three targets are open: 60 sessions are scored.
"""
_CLOCK = re.compile(r"replay(?::(?P<start>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?Z)?))?(?::(?P<speed>\d+(?:\.\d+)?))?")

_LEVELS = "^(debug|info|warning|error)$"
_PATTERNS = {_LEVELS: "must be debug, info, warning or error", DEVICES: "must be auto, cpu or gpu"}

_SECRETS = frozenset({"database_url", "rate_limit_storage"})
"""Settings whose value no message repeats."""

MIN_RETENTION_DAYS = 90
"""Shortest span that is kept: scores are revisited for 45 days, missing bars and closures for 30."""

_LOGIN = re.compile(r"^(?P<user>[\w+]+://[^/:@?#]+)(?P<password>:[^@]*)?@")
"""Start of a database URL with a user."""


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """The market clock of the settings.

    Attributes:
        mode: `system` or `replay`.
        start: Aware UTC instant at which a new replay database begins; None = the default.
        speed: Real seconds per UTC day with an event; 0 = as fast as possible.
        fast_sessions: Sessions from the start of the database that are replayed as fast as possible.
    """

    mode: str
    start: datetime | None = None
    speed: float = DEFAULT_SPEED
    fast_sessions: int = 0

    @staticmethod
    def parse(text: str) -> "ClockSetting":
        """Read `system` or `replay[:START][:SPEED]`; START is a date or an instant ending in Z."""
        if text == "system":
            return ClockSetting("system")
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise ValueError("must be system or replay[:START][:SPEED], START a date or an instant ending in Z")
        speed, fast_sessions = (float(match["speed"]), 0) if match["speed"] else (DEFAULT_SPEED, FAST_SESSIONS)
        if match["start"] is None:
            return ClockSetting("replay", None, speed, fast_sessions)
        start = datetime.fromisoformat(match["start"].replace("Z", "+00:00"))
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        return ClockSetting("replay", start, speed, fast_sessions)


SymbolList = TextList
SeedList = Annotated[tuple[int, ...], NoDecode, BeforeValidator(split_list)]


class Settings(ApiSettings, ComputeSettings):
    """The settings; the table of docs/settings.md is generated from these descriptions.

    Attributes are documented in their `description`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    source: str = Field("sample", description="source of prices: `sample`, `files:DIR` or `yahoo`")
    clock: str = Field("replay", description="market time: `system`, or `replay[:START][:SPEED]` (seconds a day)")
    data_dir: Path = Field(Path("var"), description="folder of the embedded database and of the model artifacts")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; unset = an SQLite file in the data folder, named after source and clock"
    )
    database_password_file: Path | None = Field(
        None, description="file whose text is the password of `TPLUS_DATABASE_URL`, read once at the start"
    )
    symbols: SymbolList = Field(
        (),
        description="watchlist of a new database, separated by commas; empty = all symbols of the sample, or five "
        "large stocks on yahoo",
    )
    reference_symbols: SymbolList = Field(
        ("SPY", "^VIX"), description="series used as inputs for equities; `:market` or `:volatility` sets the role"
    )
    groups: SymbolList = Field(
        (), description="training groups of single symbols, as `SYMBOL=group`, separated by commas"
    )
    calendars: SymbolList = Field(
        (), description="exchange calendars of single symbols, as `SYMBOL=calendar`, separated by commas"
    )
    max_symbols: int = Field(5000, ge=1, le=100_000, description="most symbols on the watchlist")
    lookback: int = Field(5, ge=1, le=60, description="sessions in a window (T-5..T-1)")
    network: str = Field(
        "lstm",
        description="network that is trained: `lstm`, `stacked_lstm`, `encoder_decoder`, `stateful_lstm`, `linear`, or "
        "spatiotemporal `conv_lstm`, `conv3d_lstm`, `conv3d_lstm_variational`, `conv3d_lstm_per_frame`",
    )
    seeds: SeedList = Field((0, 1, 2), description="seeds whose forecasts are averaged, separated by commas")
    settle_minutes: int = Field(90, ge=0, le=600, description="a bar is final this long after the close")
    settle_minutes_continuous: int = Field(60, ge=0, le=600, description="the same on 24/7 and 24/5 calendars")
    grace_minutes: int = Field(
        180, ge=0, le=1200, description="how long after settling a forecast is on time, on 24/7 and 24/5 calendars"
    )
    overlap_sessions: int = Field(10, ge=1, le=100, description="stored sessions that every pull fetches again")
    fetch_workers: int = Field(3, ge=1, le=8, description="symbols fetched in parallel")
    pull_limit_seconds: float = Field(
        1800.0, gt=0, le=86400, description="a pull fetches no further symbol after this time"
    )
    lease_seconds: int = Field(30, ge=2, le=3600, description="how long a claim holds without a heartbeat")
    poll_seconds: float = Field(1.0, gt=0, le=60, description="interval at which the scheduler checks for due work")
    max_attempts: int = Field(4, ge=1, le=20, description="attempts of a run before it fails")
    max_lost_workers: int = Field(
        5, ge=1, le=1000, description="workers in succession that a run may lose (killed or stalled) before it fails"
    )
    retry_seconds: float = Field(20.0, ge=0, le=3600, description="wait before the first retry; doubles each time")
    train_every: int | None = Field(
        None,
        ge=1,
        le=252,
        description="sessions between two trainings of a group; unset = 5, or 20 under a replay without a SPEED",
    )
    train_limit_seconds: int = Field(1800, ge=10, le=86400, description="a training that takes longer is stopped")
    retention_days: int | None = Field(
        None,
        ge=MIN_RETENTION_DAYS,
        le=36_500,
        description="days of market time for which bar revisions, quarantine and run outcomes are kept; unset = always",
    )
    ledger_head_file: Path | None = Field(
        None,
        description="file outside the database to which the scheduler appends the newest hashes of the ledger; unset = "
        "none",
    )
    alert_key_file: Path | None = Field(
        None,
        description="file with the keys that encrypt targets and secrets of alerts; unset = `alerts.key` in the data "
        "folder, made at first use",
    )
    alert_loopback_http: bool = Field(
        False, description="alerts may go to plain http on loopback addresses of this machine, for tests and relays"
    )
    yahoo_standin_url: str | None = Field(None, description="tests only: a loopback server instead of Yahoo")
    browser: str | None = Field(
        None, description="path or name of the Chromium or Chrome for pictures; unset = the system's"
    )
    log_level: str = Field("info", pattern=_LEVELS, description="debug, info, warning or error")

    @model_validator(mode="before")
    @classmethod
    def _add_password(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("database_password_file") is not None:
            return values | {"database_url": _url_with_password(values)}
        return values

    @field_validator("clock")
    @classmethod
    def _check_clock(cls, value: str) -> str:
        ClockSetting.parse(value)
        return value

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        if value in ("sample", "yahoo") or (value.startswith("files:") and len(value) > len("files:")):
            return value
        raise ValueError("must be sample, yahoo or files:DIR")

    @field_validator("groups")
    @classmethod
    def _check_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if not re.fullmatch(r"[^=\s]+=[a-z][a-z0-9_]{0,39}", item):
                raise ValueError(f"{shown(item)} must be SYMBOL=group, the group in lower case")
        return value

    @field_validator("calendars")
    @classmethod
    def _check_calendars(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if not re.fullmatch(r"[^=\s]+=[^=\s]+", item):
                raise ValueError(f"{shown(item)} must be SYMBOL=calendar, for example AAPL=XNYS")
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.source == "yahoo" and self.market_clock.mode == "replay":
            raise ValueError(
                "TPLUS_SOURCE=yahoo has no record of past states and cannot be replayed; set TPLUS_CLOCK=system"
            )
        if not self.api_key_scopes:
            raise ValueError("TPLUS_API_KEY_SCOPES is empty; name at least one of read, run, admin")
        if not self.seeds:
            raise ValueError("TPLUS_SEEDS is empty; give at least one seed")
        return self

    @property
    def market_clock(self) -> ClockSetting:
        """The parsed market clock."""
        return ClockSetting.parse(self.clock)

    @property
    def has_open_reads(self) -> bool:
        """Whether reads need no key: as set, else while the API listens on loopback."""
        return is_loopback(self.host) if self.open_reads is None else self.open_reads

    @property
    def sessions_per_training(self) -> int:
        """Sessions between two trainings of a group: a week, or a month of a replay that starts fast."""
        return self.train_every or (20 if self.market_clock.fast_sessions else 5)

    @property
    def group_of(self) -> Mapping[str, str]:
        """Groups of the settings, by symbol."""
        return dict(item.split("=", 1) for item in self.groups)

    @property
    def calendar_of(self) -> Mapping[str, str]:
        """Calendars of the settings, by symbol; checked at start."""
        return dict(item.split("=", 1) for item in self.calendars)

    @property
    def url(self) -> str:
        """The effective database URL."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / self._file_name()}"

    @property
    def source_name(self) -> str:
        """The source as stored in a database's stamp: a folder by its absolute path."""
        kind, _, folder = self.source.partition(":")
        if not folder:
            return kind
        try:
            return f"{kind}:{Path(folder).expanduser().resolve()}"
        except (OSError, RuntimeError) as error:  # a loop of links, an unknown home folder
            raise SettingsError(f"TPLUS_SOURCE={self.source}: {error}; name a folder with price files") from error

    @property
    def alert_key_path(self) -> Path:
        """File with the keys of the alerts."""
        return self.data_dir.absolute() / "alerts.key" if self.alert_key_file is None else self.alert_key_file

    @property
    def artifact_dir(self) -> Path:
        """Folder of the model artifacts: one per database, independent of the password.

        The embedded database's folder is next to the file under its name, so that both can be moved together.
        """
        if self.database_url is None:
            return self.data_dir.absolute() / f"artifacts-{Path(self._file_name()).stem}"
        plain = _LOGIN.sub(r"\g<user>@", self.url, count=1)
        return self.data_dir.absolute() / f"artifacts-{hashlib.sha256(plain.encode()).hexdigest()[:10]}"

    def _file_name(self) -> str:
        kind, _, folder = self.source_name.partition(":")
        if folder:
            kind = f"files-{Path(folder).name}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
        return f"tplus-{kind}-{self.market_clock.mode}.db"

    def settle(self, calendar: str) -> timedelta:
        """Return how long after its close a bar of a calendar is final."""
        continuous = calendar in CONTINUOUS_CALENDARS
        return timedelta(minutes=self.settle_minutes_continuous if continuous else self.settle_minutes)

    @property
    def grace(self) -> timedelta:
        """How long after settling a forecast on a continuous calendar is on time."""
        return timedelta(minutes=self.grace_minutes)


def set_variables() -> dict[str, str]:
    """Return the variables of this process's environment that begin with `TPLUS_`."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}  # noqa: TID251


def unknown_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that begin with `TPLUS_` and are not a setting, each with a hint."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = {}
    for name in variables:
        if name.startswith(PREFIX) and name not in names:
            close = get_close_matches(name, names, n=1)
            unknown[name] = f"did you mean {close[0]}?" if close else "see the table in docs/settings.md"
    return unknown


def metrics_folder() -> Path | None:
    """Return the folder that the API's worker processes share for their metrics; None for one process."""
    folder = os.environ.get(METRICS_FOLDER)  # noqa: TID251
    return Path(folder) if folder else None


def set_metrics_folder(folder: Path) -> None:
    """Set the shared folder for the processes that this one starts."""
    os.environ[METRICS_FOLDER] = str(folder)  # noqa: TID251


def set_library_variables(variables: Mapping[str, str]) -> None:
    """Set variables of this process that a library reads when it is imported."""
    os.environ.update(variables)  # noqa: TID251


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environment: Variables to read; None = this process's.

    Raises:
        SettingsError: one sentence per bad or unknown variable.
    """
    variables = os.environ if environment is None else environment  # noqa: TID251
    for name, hint in unknown_settings(variables).items():
        raise SettingsError(f"{name} is not a setting; {hint}")
    values = {name[len(PREFIX) :].lower(): value for name, value in variables.items() if name.startswith(PREFIX)}
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_sentence(item["loc"], validation_rule(item, _PATTERNS), values) for item in error.errors())
        ) from error


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child process: this process's, and more variables."""
    return {**os.environ, **extra}  # noqa: TID251


def _url_with_password(values: Mapping[str, Any]) -> str:
    """Return the database URL with the password of the file."""
    path = Path(values["database_password_file"])
    try:
        password = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(
            f"TPLUS_DATABASE_PASSWORD_FILE={path} cannot be read ({reason}); use a file that this process can read"
        ) from error
    if not password:
        raise ValueError(f"TPLUS_DATABASE_PASSWORD_FILE={path} is empty; write the database's password into it")
    url = values.get("database_url") or ""
    plain = url.get_secret_value() if isinstance(url, SecretStr) else str(url)
    login = _LOGIN.match(plain)
    if login is None or login["password"] is not None:
        raise ValueError(
            "TPLUS_DATABASE_PASSWORD_FILE needs a TPLUS_DATABASE_URL with a user and without a password; "
            "write it as postgresql://user@host/name"
        )
    return f"{login['user']}:{quote(password, safe='')}@{plain[login.end() :]}"


def _sentence(location: tuple[int | str, ...], message: str, values: Mapping[str, str]) -> str:
    if not location:
        return message
    field = str(location[0])
    given = "***" if field in _SECRETS else shown(values.get(field))
    return f"{PREFIX}{field.upper()}={given} cannot be used: {message}"

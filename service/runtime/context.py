"""The parts of the service that jobs need, created once at start-up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.config import ModelConfig, Reference, ReferenceRole, Strategy
from models.errors import UnknownNetwork
from models.networks.registry import NetworkInfo, is_spatiotemporal, network_info
from models.tuned_configs import tuned
from service.clock import MachineClock, MarketClock
from service.db.session import Database
from service.errors import SettingsError
from service.execution.executor import Executor
from service.market.calendars import Calendars
from service.prices.sources.base import PriceSource
from service.runtime.progress import Reporter
from service.settings import Settings
from service.vocabulary import Mode

SUBSTITUTE = "lstm"
"""Network that serves symbols which the spatiotemporal network has not seen."""
REFERENCE_GROUPS = ("equity",)
"""Groups whose inputs include the reference series by default."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The service's parts; see each type."""

    settings: Settings
    database: Database
    source: PriceSource
    machine: MachineClock
    market: MarketClock
    calendars: Calendars
    warm: Executor
    child: Executor
    reporter: Reporter

    @property
    def mode(self) -> Mode:
        """Mode of the editions of this service: `live` or `replay`."""
        return Mode.LIVE if self.settings.market_clock.mode == "system" else Mode.REPLAY

    @property
    def lease(self) -> timedelta:
        """How long a claim is valid without a heartbeat."""
        return timedelta(seconds=self.settings.lease_seconds)

    def market_now(self) -> datetime:
        """Return market time, read in a transaction of its own."""
        with self.database.reading() as connection:
            return self.market.now(connection)

    def references(self) -> tuple[Reference, ...]:
        """Return the reference series of the settings with their roles."""
        return tuple(parse_reference(item) for item in self.settings.reference_symbols)

    def configs(self, group: str) -> dict[Strategy, ModelConfig]:
        """Return the configs of a group's networks by strategy."""
        return self._model_configs(group, network_of(self.settings))

    def substitutes(self, group: str) -> dict[Strategy, ModelConfig]:
        """Return the configs trained with a spatiotemporal network, by strategy.

        They are for symbols it has not seen; empty for another network.
        """
        if not is_spatiotemporal(self.settings.network):
            return {}
        return self._model_configs(group, network_info(SUBSTITUTE))

    def _model_configs(self, group: str, network: NetworkInfo) -> dict[Strategy, ModelConfig]:
        references = self.references() if group in REFERENCE_GROUPS else ()
        return {
            strategy: tuned(
                ModelConfig(
                    network.name,
                    strategy,
                    lookback=network.window(self.settings.lookback),
                    references=references,
                    seeds=self.settings.seeds,
                )
            )
            for strategy in Strategy
        }


def network_of(settings: Settings) -> NetworkInfo:
    """Return the network of the settings.

    Raises:
        SettingsError: no network has that name; the message lists the names.
    """
    try:
        return network_info(settings.network)
    except UnknownNetwork as error:
        raise SettingsError(f"TPLUS_NETWORK={settings.network!r} cannot be used: {error}") from error


def parse_reference(text: str) -> Reference:
    """Parse `SYMBOL` or `SYMBOL:role`.

    Without a role a name like ^VIX is a volatility index, any other one a market series.

    Raises:
        SettingsError: the role is neither market nor volatility.
    """
    symbol, _, role = text.partition(":")
    if not role:
        implied = symbol.startswith("^V") and "IX" in symbol
        role = ReferenceRole.VOLATILITY if implied else ReferenceRole.MARKET
    try:
        return Reference(symbol, ReferenceRole(role))
    except ValueError as error:
        raise SettingsError(
            f"TPLUS_REFERENCE_SYMBOLS: {text!r} names the role {role!r}; write {symbol}:market or {symbol}:volatility"
        ) from error

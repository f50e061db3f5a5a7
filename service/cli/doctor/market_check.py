"""Calendars that end soon, and whether the price source answers."""

import threading
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from service.cli.doctor.findings import Finding, error, ok, warning
from service.errors import CalendarError, SourceError, TplusError
from service.market.exchange_calendar import get_calendar
from service.prices.sources.base import NoData, RateLimited
from service.prices.sources.registry import make_source
from service.settings import Settings

ENDS_SOON = timedelta(days=90)
"""A calendar that is known for a shorter time is a warning."""
SOURCE_SECONDS = 20.0
"""Limit for the answer of the price source."""
_WINDOW = timedelta(days=14)


def check_calendars(names: Sequence[str], today: date) -> Iterator[Finding]:
    """Yield until when each calendar in use is known."""
    known, assumed = [], []
    for name in names:
        try:
            calendar = get_calendar(name, today)
        except CalendarError as fault:
            yield error("calendars", str(fault))
            continue
        last = calendar.exactness.last
        if last is None or last < today - ENDS_SOON:
            assumed.append(name)
        elif last < today + ENDS_SOON:
            yield warning(
                "calendars",
                f"the holidays of {name} are known until {last} only, its usual week is assumed afterwards; "
                "install a newer exchange_calendars",
            )
        else:
            known.append((last, name))
    if known:
        last, name = min(known)
        yield ok("calendars", f"{len(known)} in use are known until {last} ({name}) or longer")
    if assumed:
        yield ok("calendars", f"without known holidays, their usual week is assumed: {', '.join(assumed)}")
    if not names:
        yield warning("calendars", "no symbol is on the watchlist; add some with `tplus symbols add`")


def check_source(settings: Settings, probes: Sequence[str], now: datetime) -> Iterator[Finding]:
    """Yield whether the source answers, in a limited time.

    Args:
        settings: The source.
        probes: Symbols of which one must have bars, for a live source.
        now: Aware UTC market time.
    """
    found: list[Finding] = []

    def probe() -> None:
        found.append(_probe(settings, probes, now))

    thread = threading.Thread(target=probe, name="source probe", daemon=True)
    thread.start()
    thread.join(SOURCE_SECONDS)
    if found:
        yield found[0]
    else:
        yield error(
            "source",
            f"{settings.source} has not answered within {SOURCE_SECONDS:.0f} s; check the network and a proxy",
        )


def _probe(settings: Settings, probes: Sequence[str], now: datetime) -> Finding:
    try:
        source = make_source(settings.source, Path(settings.data_dir) / "yahoo-cache", settings.yahoo_standin_url)
        record = source.record()
        if record is not None:
            return ok("source", f"{source.name} has prices from {record.first} to {record.last}")
        if source.can_replay:
            faults = "; ".join(source.faults()) or "no file of prices was found"
            return error("source", f"{source.name} has no prices: {faults}; see `tplus files check`")
        reason = ""
        for symbol in probes:
            try:
                if len(source.fetch(symbol, (now - _WINDOW).date(), now).bars):
                    return ok("source", f"{source.name} answers: it has prices of {symbol}")
            except NoData as fault:
                reason = str(fault)
        return error("source", f"{source.name} has no prices of {', '.join(probes)} ({reason}); check the network")
    except RateLimited as fault:
        return warning("source", f"{settings.source} limits the rate now ({fault}); the next pull tries again")
    except SourceError as fault:
        return error("source", f"{settings.source} does not answer: {fault}; check the network and a proxy")
    except TplusError as fault:
        return error("source", str(fault))

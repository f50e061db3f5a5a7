"""Parses durations and dates of options."""

import re
from datetime import UTC, date, datetime, time, timedelta

import typer

MOST = timedelta(days=3650)

_DURATION = re.compile(r"(\d{1,7})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as `24h`, `90d`, `30m` or `0s`.

    Raises:
        typer.BadParameter: it is not a duration, or longer than ten years.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text[:60]!r} is not a duration; write it as 24h, 90d or 30m")
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found > MOST:
        raise typer.BadParameter(f"{text[:60]!r} is too long; use at most {MOST.days}d")
    return found


def parse_end(text: str) -> timedelta | datetime:
    """Parse a duration from now, or a date, which means its start in UTC.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(
            f"{text[:60]!r} is neither a duration of at most {MOST.days}d nor a date; write it as 90d or 2027-06-30"
        ) from error


def end_of(given: timedelta | datetime | None, now: datetime) -> datetime | None:
    """Return the instant of a parsed end; None without one.

    Args:
        given: What `parse_end` returned.
        now: Aware UTC machine time.

    Raises:
        typer.BadParameter: it has passed, or is more than ten years away.
    """
    if given is None:
        return None
    end = now + given if isinstance(given, timedelta) else given
    if end <= now:
        raise typer.BadParameter(f"a key that ends at {end:%Y-%m-%d %H:%M}Z would never be accepted; use a later end")
    if end > now + MOST:
        raise typer.BadParameter(f"a key may last at most {MOST.days} days; use an earlier end, or none")
    return end

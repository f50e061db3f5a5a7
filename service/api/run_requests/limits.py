"""Limits on requests, by setting; each refusal says which limit it is and when to try again."""

from datetime import datetime, timedelta

from service.api.common.dependencies import Writing
from service.api.common.errors import BadParameter, Conflict, TooMany
from service.api.run_requests.queries import count_open, count_watched, read_pull_times, read_scopes
from service.settings import Settings
from service.vocabulary import Job, RequestKind

_OPEN_RETRY_SECONDS = 30
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def check_scope(writing: Writing, job: str, scope: str) -> None:
    """Raise for a scope that is not in use.

    Raises:
        BadParameter: there is no such calendar or group; the message names the known ones.
    """
    known = read_scopes(writing.connection, job)
    if scope not in known:
        kind = "group" if job == Job.TRAIN else "calendar"
        names = ", ".join(known[:20]) or "none yet: the watchlist is empty"
        raise BadParameter("scope", f"must be a {kind} of the watchlist for {job}: {names}")


def check_limits(writing: Writing, settings: Settings, kind: RequestKind, job: str | None) -> None:
    """Raise if too many requests are open, or too many pulls were requested.

    Raises:
        TooMany: a limit is reached.
    """
    if count_open(writing.connection) >= settings.max_open_requests:
        raise TooMany(
            f"{settings.max_open_requests} run requests are not done yet, which is the most that "
            "TPLUS_MAX_OPEN_REQUESTS allows; see /v1/run-requests?state=pending",
            _OPEN_RETRY_SECONDS,
        )
    if kind == RequestKind.ADD_SYMBOL or job == Job.PULL:
        times = read_pull_times(writing.connection, writing.machine_now - _DAY)
        _check_pulls(times, _HOUR, settings.pulls_per_hour, "TPLUS_PULLS_PER_HOUR", writing.machine_now)
        _check_pulls(times, _DAY, settings.pulls_per_day, "TPLUS_PULLS_PER_DAY", writing.machine_now)


def _check_pulls(times: list[datetime], window: timedelta, limit: int, setting: str, now: datetime) -> None:
    within = [at for at in times if at > now - window]
    if len(within) < limit:
        return
    free = within[len(within) - limit] + window
    seconds = max(1, int((free - now).total_seconds()) + 1)
    hours = int(window / _HOUR)
    raise TooMany(f"{len(within)} pulls were requested within {hours} h, and {setting} allows {limit}", seconds)


def check_room(writing: Writing, settings: Settings, symbol: str) -> None:
    """Raise if the watchlist has no room for a further symbol.

    Raises:
        Conflict: it is full.
    """
    count, is_watched = count_watched(writing.connection, symbol)
    if not is_watched and count >= settings.max_symbols:
        raise Conflict(
            f"{count} symbols are on the watchlist or requested, and TPLUS_MAX_SYMBOLS allows {settings.max_symbols}; "
            "remove symbols or raise the setting"
        )

"""Dates that are a day early because the local midnight of a session was written as a UTC date.

East of Greenwich, local midnight is on the day before in UTC.
"""

from datetime import date, datetime, time, timedelta, tzinfo

import numpy as np

from service.market.session_calendar import DateArray


def is_early(day: date, zone: tzinfo) -> bool:
    """Return whether the midnight that begins a local date is on the day before in UTC."""
    return (datetime.combine(day, time(), zone).utcoffset() or timedelta(0)) > timedelta(0)


def sessions_of_utc_dates(days: DateArray, zone: tzinfo) -> DateArray:
    """Return the local dates whose midnight has these UTC dates; dates that no midnight has do not change.

    Args:
        days: `(n,)` datetime64[D].
        zone: Time zone of the exchange.
    """
    moved = days.astype("datetime64[D]") + 1
    return np.where([is_early(day, zone) for day in moved.tolist()], moved, moved - 1)

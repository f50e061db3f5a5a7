"""Time zones of exchange calendars, as a table: the read side does not load the calendar library."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_UTC: Final = "UTC"

# time zone -> calendars, space-separated.
_CALENDARS: Final[Mapping[str, str]] = {
    "Africa/Cairo": "XCAI",
    "Africa/Johannesburg": "XJSE",
    "America/Argentina/Buenos_Aires": "XBUE",
    "America/Caracas": "BVCA",
    "America/Chicago": "CMES XCBF",
    "America/Lima": "XLIM",
    "America/Mexico_City": "XMEX",
    "America/New_York": "IEPA XBOG XNYS us_futures",
    "America/Santiago": "XSGO",
    "America/Sao_Paulo": "BVMF",
    "America/Toronto": "XTSE",
    "Asia/Almaty": "AIXK",
    "Asia/Bangkok": "XBKK",
    "Asia/Colombo": "XCOL",
    "Asia/Dubai": "XDFM",
    "Asia/Ho_Chi_Minh": "XSTC",
    "Asia/Hong_Kong": "XHKG",
    "Asia/Jakarta": "XIDX",
    "Asia/Karachi": "XKAR",
    "Asia/Kolkata": "XBOM",
    "Asia/Kuala_Lumpur": "XKLS",
    "Asia/Kuwait": "XKUW",
    "Asia/Manila": "XPHS",
    "Asia/Nicosia": "XCYS",
    "Asia/Qatar": "DSMD",
    "Asia/Riyadh": "XSAU",
    "Asia/Seoul": "XKRX",
    "Asia/Shanghai": "XSHG",
    "Asia/Singapore": "XSES",
    "Asia/Taipei": "XTAI",
    "Asia/Tel_Aviv": "XTAE",
    "Asia/Tokyo": "XTKS",
    "Atlantic/Bermuda": "XBDA",
    "Atlantic/Reykjavik": "XICE",
    "Australia/Sydney": "XASX",
    "Europe/Amsterdam": "XAMS",
    "Europe/Athens": "ASEX",
    "Europe/Belgrade": "XBEL",
    "Europe/Berlin": "XEEE XETR XEUR XFRA XSTU",
    "Europe/Bratislava": "XBRA",
    "Europe/Brussels": "XBRU XDUS XHAM",
    "Europe/Bucharest": "XBSE",
    "Europe/Budapest": "XBUD",
    "Europe/Copenhagen": "XCSE",
    "Europe/Dublin": "XDUB",
    "Europe/Helsinki": "XHEL",
    "Europe/Istanbul": "XIST",
    "Europe/Lisbon": "XLIS",
    "Europe/Ljubljana": "XLJU",
    "Europe/London": "XLON",
    "Europe/Luxembourg": "XLUX",
    "Europe/Madrid": "XMAD",
    "Europe/Moscow": "XMOS",
    "Europe/Oslo": "XOSL",
    "Europe/Paris": "XPAR",
    "Europe/Prague": "XPRA",
    "Europe/Riga": "XRIS",
    "Europe/Rome": "XMIL",
    "Europe/Stockholm": "XSTO",
    "Europe/Tallinn": "XTAL",
    "Europe/Vienna": "XWBO",
    "Europe/Vilnius": "XLIT",
    "Europe/Warsaw": "XWAR",
    "Europe/Zagreb": "XZAG",
    "Europe/Zurich": "XSWX",
    "Pacific/Auckland": "XNZE",
}

ZONES: Final[Mapping[str, str]] = MappingProxyType(
    {calendar: zone for zone, calendars in _CALENDARS.items() for calendar in calendars.split()}
)
"""Calendar -> IANA time zone; markets that never close, and weeks of unknown exchanges, are not in it."""


def time_zone(calendar: str) -> str:
    """Return the IANA time zone of a calendar; UTC if it has none."""
    return ZONES.get(calendar, _UTC)

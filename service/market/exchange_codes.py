"""Maps exchange codes, symbol suffixes and exchange names of manifests to calendars."""

from typing import Final

from service.vocabulary import ALWAYS_OPEN, WEEKDAYS_ONLY

WEEKDAYS: Final = "weekdays"
"""Name of the Monday to Friday calendar of an unknown exchange; always approximate."""

_DEFAULT: Final = "XNYS"

# calendar -> (vendor exchange codes, symbol suffixes), both space-separated.
_EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    "XNYS": ("NMS NGM NCM NYQ ASE PCX BTS PNK OQB OQX NAE CXI SNP DJI", ""),
    "XTSE": ("TOR VAN CNQ NEO", "TO V CN NE"),
    "XLON": ("LSE IOB AQS CXE", "L IL"),
    "XETR": ("GER", "DE"),
    "XFRA": ("FRA BER MUN HAN", "F BE MU HA"),
    "XDUS": ("DUS", "DU"),
    "XHAM": ("HAM", "HM"),
    "XSTU": ("STU", "SG"),
    "XPAR": ("PAR", "PA"),
    "XAMS": ("AMS", "AS"),
    "XBRU": ("BRU", "BR"),
    "XLIS": ("LIS", "LS"),
    "XDUB": ("ISE", "IR"),
    "XMIL": ("MIL", "MI"),
    "XMAD": ("MCE", "MC"),
    "XSWX": ("EBS", "SW"),
    "XWBO": ("VIE", "VI"),
    "XCSE": ("CPH", "CO"),
    "XSTO": ("STO", "ST"),
    "XHEL": ("HEL", "HE"),
    "XOSL": ("OSL", "OL"),
    "XICE": ("ICE", "IC"),
    "XWAR": ("WSE", "WA"),
    "XPRA": ("PRA", "PR"),
    "XBUD": ("BUD", "BD"),
    "XIST": ("IST", "IS"),
    "XTAE": ("TLV", "TA"),
    "XSAU": ("SAU", "SR"),
    "XJSE": ("JNB", "JO"),
    "XTKS": ("JPX OSA TYO", "T"),
    "XKRX": ("KSC KOE", "KS KQ"),
    "XTAI": ("TAI TWO", "TW TWO"),
    "XHKG": ("HKG", "HK"),
    "XSHG": ("SHH SHZ", "SS SZ"),
    "XBOM": ("BSE NSI", "BO NS"),
    "XSES": ("SES", "SI"),
    "XKLS": ("KLS", "KL"),
    "XBKK": ("SET", "BK"),
    "XIDX": ("JKT", "JK"),
    "XPHS": ("PHS", "PS"),
    "XASX": ("ASX", "AX"),
    "XNZE": ("NZE", "NZ"),
    "BVMF": ("SAO", "SA"),
    "XMEX": ("MEX", "MX"),
    "XBUE": ("BUE", "BA"),
    "XSGO": ("SGO", "SN"),
    "XBOG": ("BVC", "CL"),
    ALWAYS_OPEN: ("CCC", ""),
    WEEKDAYS_ONLY: ("CCY", ""),
    "CMES": ("CME CBT NYM CMX", ""),
}

_BY_CODE: Final = {code: name for name, (codes, _) in _EXCHANGES.items() for code in codes.split()}
_BY_SUFFIX: Final = {suffix: name for name, (_, suffixes) in _EXCHANGES.items() for suffix in suffixes.split()}

_CRYPTO_QUOTES: Final = frozenset({"USD", "EUR", "GBP", "JPY", "CAD", "AUD", "KRW", "INR", "BTC", "ETH"})

# Names of exchanges in manifests, in lower case.
_BY_NAME: Final = {
    "nyse": "XNYS",
    "nasdaq": "XNYS",
    "cboe": "XNYS",
    "lse": "XLON",
    "tse": "XTKS",
    "jpx": "XTKS",
    "euronext paris": "XPAR",
    "euronext amsterdam": "XAMS",
    "euronext brussels": "XBRU",
    "euronext lisbon": "XLIS",
    "bme": "XMAD",
    "bme madrid": "XMAD",
    "hkex": "XHKG",
    "xetra": "XETR",
    "fx (sun-fri)": WEEKDAYS_ONLY,
}


def calendar_by_suffix(symbol: str) -> str | None:
    """Return the calendar of a Yahoo-style suffix (`.T`, `-USD`, `=X`, `=F`); None if the suffix is unknown."""
    if symbol.endswith("=X"):
        return WEEKDAYS_ONLY
    if symbol.endswith("=F"):
        return "CMES"
    stem, dash, quote = symbol.rpartition("-")
    if dash and stem and quote in _CRYPTO_QUOTES:
        return ALWAYS_OPEN
    stem, dot, suffix = symbol.rpartition(".")
    return _BY_SUFFIX.get(suffix) if dot and stem else None


def calendar_for(symbol: str, exchange: str | None = None) -> str:
    """Return the calendar name of a symbol.

    The vendor's exchange code decides, then the suffix. A symbol without either (a US share, or a share
    class such as `BRK.B`) follows XNYS. An unknown exchange code gives `WEEKDAYS`.

    Args:
        symbol: Yahoo-style name.
        exchange: The vendor's exchange code, None if the source has none.

    Returns:
        A name for `service.market.exchange_calendar.get_calendar`.
    """
    if exchange is not None and exchange in _BY_CODE:
        return _BY_CODE[exchange]
    by_suffix = calendar_by_suffix(symbol)
    if by_suffix is not None:
        return by_suffix
    return WEEKDAYS if exchange else _DEFAULT


def calendar_by_name(name: str) -> str | None:
    """Return the calendar for a name in a manifest (`NYSE`, `Euronext Paris`, `XTKS`), None if unknown."""
    stripped = name.strip()
    return stripped if stripped in _EXCHANGES else _BY_NAME.get(stripped.lower())

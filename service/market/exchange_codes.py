"""Maps exchange codes, symbol suffixes, time zones, currencies and names of exchanges to calendars."""

from dataclasses import dataclass
from typing import Final

from service.vocabulary import ALWAYS_OPEN, WEEKDAYS_ONLY

WEEKDAYS: Final = "weekdays"
"""Name of the Monday to Friday calendar of an unknown exchange; always approximate."""

MONDAY_TO_FRIDAY: Final = "1111100"

WEEKS: Final = {
    WEEKDAYS: MONDAY_TO_FRIDAY,
    "sun-thu": "1111001",
    "sat-wed": "1110011",
    "sat-thu": "1111011",
    "sun-fri": "1111101",
    "mon-sat": "1111110",
}
"""Calendars that are a week and nothing else: their name, and the trading days from Monday to Sunday as 1."""

_DEFAULT: Final = "XNYS"

# calendar -> (vendor exchange codes, symbol suffixes), both space-separated.
_EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    # The US exchanges, the tape of their funds, and the indices and rates that follow their sessions.
    "XNYS": (
        "NMS NGM NCM NYQ ASE PCX BTS PNK OQB OQX NAE CXI SNP DJI NAS NYS NIM CGI NYB WCB YHD OEM OGM OBB OPR", "NYB"
    ),
    "XTSE": ("TOR VAN CNQ NEO", "TO V CN NE"),
    "XLON": ("LSE IOB AQS CXE FGI", "L IL AQ XC"),
    "XETR": ("GER", "DE"),
    "XEUR": ("EUX", ""),
    "XFRA": ("FRA BER MUN HAN", "F BE MU HA BM"),
    "XDUS": ("DUS", "DU"),
    "XHAM": ("HAM", "HM"),
    "XSTU": ("STU", "SG"),
    "XPAR": ("PAR ENX", "PA NX"),
    "XAMS": ("AMS DXE", "AS XD"),
    "XBRU": ("BRU", "BR"),
    "XLIS": ("LIS", "LS"),
    "XDUB": ("ISE", "IR"),
    "XMIL": ("MIL MDD TLO", "MI TI"),
    "XMAD": ("MCE MAD BAR", "MC"),
    "XSWX": ("EBS", "SW"),
    "XWBO": ("VIE", "VI"),
    "XCSE": ("CPH", "CO"),
    "XSTO": ("STO", "ST"),
    "XHEL": ("HEL", "HE"),
    "XOSL": ("OSL", "OL"),
    "XICE": ("ICE", "IC"),
    "XTAL": ("TAL", "TL"),
    "XRIS": ("RIS", "RG"),
    "XLIT": ("LIT", "VS"),
    "XWAR": ("WSE", "WA"),
    "XPRA": ("PRA", "PR"),
    "XBUD": ("BUD", "BD"),
    "XBSE": ("BVB", "RO"),
    "ASEX": ("ATH", "AT"),
    "XMOS": ("MCX", "ME"),
    "XIST": ("IST", "IS"),
    "XTAE": ("TLV", "TA"),
    "XSAU": ("SAU", "SR"),
    "XKUW": ("KUW", "KW"),
    "DSMD": ("DOH", "QA"),
    "XDFM": ("DFM", "AE"),
    "XCAI": ("CAI", "CA"),
    "XJSE": ("JNB", "JO"),
    "XKAR": ("KAR", "KA"),
    "XCOL": ("CSE", "CM"),
    "XTKS": ("JPX OSA TYO FKA SAP", "T"),
    "XKRX": ("KSC KOE", "KS KQ"),
    "XTAI": ("TAI TWO", "TW TWO"),
    "XHKG": ("HKG", "HK"),
    "XSHG": ("SHH SHZ", "SS SZ"),
    "XBOM": ("BSE NSI", "BO NS"),
    "XSES": ("SES", "SI"),
    "XKLS": ("KLS", "KL"),
    "XBKK": ("SET", "BK"),
    "XSTC": ("VSE", "VN"),
    "XIDX": ("JKT", "JK"),
    "XPHS": ("PHS PHP", "PS"),
    "XASX": ("ASX CXA", "AX XA"),
    "XNZE": ("NZE", "NZ"),
    "BVMF": ("SAO", "SA"),
    "XMEX": ("MEX", "MX"),
    "XBUE": ("BUE", "BA"),
    "XSGO": ("SGO", "SN"),
    "XBOG": ("BVC", "CL"),
    "XLIM": ("BVL", "LM"),
    "BVCA": ("CCS", "CR"),
    ALWAYS_OPEN: ("CCC", ""),
    WEEKDAYS_ONLY: ("CCY", ""),
    "CMES": ("CME CBT NYM CMX", "CME CBT NYM CMX"),
}  # fmt: skip

_BY_CODE: Final = {code: name for name, (codes, _) in _EXCHANGES.items() for code in codes.split()}
_BY_SUFFIX: Final = {suffix: name for name, (_, suffixes) in _EXCHANGES.items() for suffix in suffixes.split()}

# calendar -> (time zone, currencies of no other market here), the latter space-separated. One market per zone.
_MARKETS: Final[dict[str, tuple[str, str]]] = {
    "XNYS": ("America/New_York", "USD"),
    "XTSE": ("America/Toronto", "CAD"),
    "XLON": ("Europe/London", "GBP GBp GBX"),
    "XETR": ("Europe/Berlin", ""),
    "XPAR": ("Europe/Paris", ""),
    "XAMS": ("Europe/Amsterdam", ""),
    "XBRU": ("Europe/Brussels", ""),
    "XLIS": ("Europe/Lisbon", ""),
    "XDUB": ("Europe/Dublin", ""),
    "XMIL": ("Europe/Rome", ""),
    "XMAD": ("Europe/Madrid", ""),
    "XSWX": ("Europe/Zurich", "CHF"),
    "XWBO": ("Europe/Vienna", ""),
    "XCSE": ("Europe/Copenhagen", "DKK"),
    "XSTO": ("Europe/Stockholm", "SEK"),
    "XHEL": ("Europe/Helsinki", ""),
    "XOSL": ("Europe/Oslo", "NOK"),
    "XICE": ("Atlantic/Reykjavik", "ISK"),
    "XTAL": ("Europe/Tallinn", ""),
    "XRIS": ("Europe/Riga", ""),
    "XLIT": ("Europe/Vilnius", ""),
    "XWAR": ("Europe/Warsaw", "PLN"),
    "XPRA": ("Europe/Prague", "CZK"),
    "XBUD": ("Europe/Budapest", "HUF"),
    "XBSE": ("Europe/Bucharest", "RON"),
    "ASEX": ("Europe/Athens", ""),
    "XMOS": ("Europe/Moscow", "RUB"),
    "XIST": ("Europe/Istanbul", "TRY"),
    "XTAE": ("Asia/Jerusalem", "ILS ILA"),
    "XSAU": ("Asia/Riyadh", "SAR"),
    "XKUW": ("Asia/Kuwait", "KWD KWF"),
    "DSMD": ("Asia/Qatar", "QAR"),
    "XDFM": ("Asia/Dubai", "AED"),
    "XCAI": ("Africa/Cairo", "EGP"),
    "XJSE": ("Africa/Johannesburg", "ZAR ZAc"),
    "XKAR": ("Asia/Karachi", "PKR"),
    "XCOL": ("Asia/Colombo", "LKR"),
    "XTKS": ("Asia/Tokyo", "JPY"),
    "XKRX": ("Asia/Seoul", "KRW"),
    "XTAI": ("Asia/Taipei", "TWD"),
    "XHKG": ("Asia/Hong_Kong", "HKD"),
    "XSHG": ("Asia/Shanghai", "CNY"),
    "XBOM": ("Asia/Kolkata", "INR"),
    "XSES": ("Asia/Singapore", "SGD"),
    "XKLS": ("Asia/Kuala_Lumpur", "MYR"),
    "XBKK": ("Asia/Bangkok", "THB"),
    "XSTC": ("Asia/Ho_Chi_Minh", "VND"),
    "XIDX": ("Asia/Jakarta", "IDR"),
    "XPHS": ("Asia/Manila", "PHP"),
    "XASX": ("Australia/Sydney", "AUD"),
    "XNZE": ("Pacific/Auckland", "NZD"),
    "BVMF": ("America/Sao_Paulo", "BRL"),
    "XMEX": ("America/Mexico_City", "MXN"),
    "XBUE": ("America/Buenos_Aires", "ARS"),
    "XSGO": ("America/Santiago", "CLP"),
    "XBOG": ("America/Bogota", "COP"),
    "XLIM": ("America/Lima", "PEN"),
    "BVCA": ("America/Caracas", "VES"),
}

_ZONE_ALIASES: Final = {
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Asia/Tel_Aviv": "Asia/Jerusalem",
    "America/Argentina/Buenos_Aires": "America/Buenos_Aires",
    "US/Eastern": "America/New_York",
}
_BY_ZONE: Final = {zone: name for name, (zone, _) in _MARKETS.items()}
_BY_CURRENCY: Final = {code: name for name, (_, codes) in _MARKETS.items() for code in codes.split()}
_BY_TYPE: Final = {"CRYPTOCURRENCY": ALWAYS_OPEN, "CURRENCY": WEEKDAYS_ONLY}

EXCHANGE_CALENDARS: Final = tuple(_MARKETS)
"""Calendars of stock exchanges."""

_CRYPTO_QUOTES: Final = frozenset(
    "USD EUR GBP JPY CAD AUD KRW INR BTC ETH USDT USDC BUSD FDUSD TUSD DAI BNB TRY BRL CHF SGD HKD".split()
)

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


@dataclass(frozen=True, slots=True)
class MarketHints:
    """What a source says about the market of a symbol; None where it says nothing.

    Attributes:
        exchange: The vendor's exchange code.
        zone: Name of the exchange's time zone (`Asia/Tokyo`).
        currency: Currency code as the source writes it.
        instrument_type: Yahoo's type.
    """

    exchange: str | None = None
    zone: str | None = None
    currency: str | None = None
    instrument_type: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarChoice:
    """The calendar of a symbol.

    Attributes:
        name: A name for `service.market.exchange_calendar.get_calendar`.
        is_assumed: Whether it is not stated: it is a default, or follows from the zone or the currency alone.
    """

    name: str
    is_assumed: bool


def choose_calendar(symbol: str, hints: MarketHints = MarketHints()) -> CalendarChoice:
    """Return the calendar of a symbol, and whether it is assumed.

    The vendor's exchange code decides, then the suffix, then the type of crypto and exchange rates, then the time
    zone, then the currency. Without any of them an unknown exchange code gives `WEEKDAYS`, and none gives XNYS: the
    symbol of a US share has no suffix.

    Args:
        symbol: Yahoo-style name.
        hints: What the source says about its market.
    """
    stated = (
        _BY_CODE.get(hints.exchange or ""),
        calendar_by_suffix(symbol),
        _BY_TYPE.get((hints.instrument_type or "").upper()),
    )
    for name in stated:
        if name is not None:
            return CalendarChoice(name, is_assumed=False)
    return CalendarChoice(calendar_by_hints(hints) or (WEEKDAYS if hints.exchange else _DEFAULT), is_assumed=True)


def calendar_by_hints(hints: MarketHints) -> str | None:
    """Return the calendar of the only known market with a time zone, else with a currency; None if there is none."""
    zone = hints.zone or ""
    return _BY_ZONE.get(_ZONE_ALIASES.get(zone, zone)) or _BY_CURRENCY.get(hints.currency or "")


def calendar_for(symbol: str, exchange: str | None = None) -> str:
    """Return the name of a symbol's calendar from its name and exchange code alone; see `choose_calendar`."""
    return choose_calendar(symbol, MarketHints(exchange)).name


def calendar_by_name(name: str) -> str | None:
    """Return the calendar for a name in a manifest (`NYSE`, `Euronext Paris`, `XTKS`), None if unknown."""
    stripped = name.strip()
    return stripped if stripped in _EXCHANGES or stripped in WEEKS else _BY_NAME.get(stripped.lower())

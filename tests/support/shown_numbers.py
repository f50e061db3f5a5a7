"""Formatted numbers that service/charts/numbers.py and the page's format.js must both write."""

PRICES: tuple[tuple[float, str | None, str, str], ...] = (
    (175.1, "USD", "equity", "175.10"),
    (698.125, "USD", "equity", "698.13"),
    (1234567.891, "USD", "equity", "1,234,567.89"),
    (-1.5, "USD", "equity", "−1.50"),
    (0.0, "USD", "equity", "0.00"),
    (0.5, "USD", "equity", "0.5000"),
    (6543.0, "JPY", "equity", "6,543"),
    (6543.5, "JPY", "equity", "6,544"),
    (7.25, "JPY", "equity", "7.25"),
    (2512.5, "GBp", "equity", "2,512.50"),
    (1.234, "KWD", "equity", "1.23"),
    (71.2, None, "other", "71.20"),
    (64321.5, "USD", "crypto", "64,321.50"),
    (0.1234, "USD", "crypto", "0.1234"),
    (0.00001234, "USD", "crypto", "0.00001234"),
    (0.001, "USD", "crypto", "0.001000"),
    (0.98348, "CHF", "fx", "0.98348"),
    (1.08345, "USD", "fx", "1.08345"),
    (151.2345, "JPY", "fx", "151.234"),
    (0.000061234, "USD", "fx", "0.00006123"),
)
"""Price, currency, group, text."""

CHANGES = (
    (0.0051, "+0.5 %"),
    (-0.0051, "−0.5 %"),
    (0.0025, "+0.3 %"),
    (0.0004, "0.0 %"),
    (-0.0004, "0.0 %"),
    (0.0, "0.0 %"),
    (1.5, "+150.0 %"),
    (12.5, "+1,250.0 %"),
)
"""Simple return, text."""

SHARES = ((66 / 80, "83 %"), (0.789, "79 %"), (0.0, "0 %"), (1.0, "100 %"))
"""Share 0..1, text."""

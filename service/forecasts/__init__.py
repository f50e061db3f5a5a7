"""Forecasts: made, published as editions of a hash-chained ledger, scored when their sessions close."""

"""Forecasts: computed, published as editions of a hash-chained ledger, and scored when their sessions close."""

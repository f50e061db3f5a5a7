"""Quarantined rows and holds of whole symbols."""

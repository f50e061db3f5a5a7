"""Images of all symbols of a calendar, the input of `models.networks.spatiotemporal.registry`."""

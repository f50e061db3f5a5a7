"""A calendar's symbols side by side as frames, for the networks of `models.networks.spatiotemporal.registry`."""

"""Trained forecasters: artifacts on disk and inference from them."""

"""Scores of forecasts and the track records made from them."""

"""Forecasters without a network, which every network is measured against."""

from models.baselines.random_walk import (
    ARCHITECTURE,
    MIN_RESIDUALS,
    RandomWalk,
    fit_random_walk,
    random_walk_recipe,
    scale_of_steps,
)

__all__ = [
    "ARCHITECTURE",
    "MIN_RESIDUALS",
    "RandomWalk",
    "fit_random_walk",
    "random_walk_recipe",
    "scale_of_steps",
]

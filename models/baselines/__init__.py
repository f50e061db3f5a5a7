"""Baselines: forecasters without a network, with which the networks are compared."""

from models.baselines.random_walk import (
    MIN_RESIDUALS,
    NETWORK,
    RandomWalk,
    fit_random_walk,
    random_walk_config,
    scale_of_steps,
)

__all__ = [
    "MIN_RESIDUALS",
    "NETWORK",
    "RandomWalk",
    "fit_random_walk",
    "random_walk_config",
    "scale_of_steps",
]

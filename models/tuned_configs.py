"""The tuned configuration of each network, see docs/forecasting-log.md.

Configurations are chosen on the years before the test years, and committed here before the test years are run.
"""

from dataclasses import replace

from models.config import Inputs, ModelConfig, Schedule, Weighting

TUNED = frozenset({"lstm"})
"""Networks with a tuned configuration; the others keep the defaults of `ModelConfig`."""


def tuned(config: ModelConfig) -> ModelConfig:
    """Return a config with the tuned inputs, loss and training of its network, if it has any.

    Extended inputs; all training windows have the same weight, so that a crisis does not count fivefold; eight epochs
    along a half cosine, of which the one with the lowest validation loss is kept; the median moves a tenth of the way.

    Args:
        config: Its network, strategy, lookback, references and seeds are kept.
    """
    if config.forecaster not in TUNED:
        return config
    return replace(
        config,
        inputs=Inputs.EXTENDED,
        weighting=Weighting.EVEN,
        schedule=Schedule.COSINE,
        learning_rate=4e-3,
        max_epochs=8,
        patience=8,
        median_share=0.1,
        weight_decay=1.0,
    )

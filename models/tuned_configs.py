"""How the service makes each network: what was found to forecast best, see docs/forecasting-log.md.

Recipes are chosen on the years before the test years; what is written here is frozen in a commit before those are run.
"""

from dataclasses import replace

from models.config import Inputs, ModelConfig, Schedule, Weighting

TUNED = frozenset({"lstm"})
"""Networks that the refined choice was made for; others keep the recipe's defaults."""


def tuned(config: ModelConfig) -> ModelConfig:
    """The recipe with the researched choice of inputs, loss and training, where its network has one.

    Extended inputs; all training windows weigh alike, so that a crisis does not count fivefold; eight epochs along
    a half cosine, the best of them on the stop span kept; the median learns slowly.

    Args:
        recipe: Its network, strategy, lookback, references and seeds are kept.
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

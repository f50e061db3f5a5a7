"""Compares the one-step and the multi-step forecast of the same T."""

from service.api.forecasts.schemas import Disagreement, StrategyForecast


def build_disagreement(one_step: StrategyForecast | None, multi_step: StrategyForecast | None) -> Disagreement | None:
    """Return the difference of two forecasts of T.

    Args:
        one_step: The published forecast of T alone.
        multi_step: The published forecast of T, T+1, T+2.

    Returns:
        None if either is missing, or their first steps are of different sessions.
    """
    if one_step is None or multi_step is None:
        return None
    own, other = one_step.steps[0], multi_step.steps[0]
    if own.target_session != other.target_session:
        return None
    gap = own.quantiles.q50 - other.quantiles.q50
    own_width, other_width = (step.quantiles.q90 - step.quantiles.q10 for step in (own, other))
    return Disagreement(
        target_session=own.target_session,
        median=gap,
        in_widths=gap / other_width if other_width > 0 else None,
        width_ratio=own_width / other_width if other_width > 0 else None,
    )

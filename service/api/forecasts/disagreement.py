"""Compares the one-step and the multi-step forecast of the same T."""

from service.api.forecasts.track_record import Fields


def disagreement_fields(one_step: Fields | None, multi_step: Fields | None) -> Fields | None:
    """Return the difference of two forecasts of T, with the fields of `Disagreement`.

    Args:
        one_step: The published forecast of T alone, with the fields of `StrategyForecast`.
        multi_step: The published forecast of T, T+1, T+2.

    Returns:
        None if either is missing, or their first steps are of different sessions.
    """
    if one_step is None or multi_step is None:
        return None
    own, other = one_step["steps"][0], multi_step["steps"][0]
    if own["target_session"] != other["target_session"]:
        return None
    own, other, target = own["quantiles"], other["quantiles"], own["target_session"]
    gap = own["q50"] - other["q50"]
    own_width, other_width = (quantiles["q90"] - quantiles["q10"] for quantiles in (own, other))
    return {
        "target_session": target,
        "median": gap,
        "in_widths": gap / other_width if other_width > 0 else None,
        "width_ratio": own_width / other_width if other_width > 0 else None,
    }

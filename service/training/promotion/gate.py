"""The gate at work: what a training brought is held against a recipe's standing."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from models.gate import Evidence, judge_config, loses_live
from service.training.promotion.live_scores import live_evidence
from service.training.registry.approvals import LIVE, ConfigKey, read_standing, record_attempt, record_loss
from service.training.registry.versions import Recorded


def live_of(
    connection: Connection, keys: Iterable[ConfigKey], evidence: Mapping[ConfigKey, Evidence], mode: str
) -> dict[ConfigKey, Evidence]:
    """The live scores of the recipes that are to be judged: read beforehand, for it may take longer than a write may.

    Args:
        connection: Any connection.
        keys: The recipes.
        evidence: Walk-forward folds of those that were on trial.
        origin: Whose live scores count.

    Returns:
        Of the recipes that are accepted or were on trial.
    """
    wanted = [key for key in keys if key in evidence or read_standing(connection, key).accepted]
    return {key: live_evidence(connection, key, mode) for key in dict.fromkeys(wanted)}


def judge_standing(
    connection: Connection, key: ConfigKey, evidence: Evidence | None, live: Evidence | None, recorded: Recorded
) -> None:
    """Judge a recipe on new evidence, or send an accepted one back that loses live; else its standing stands.

    Args:
        connection: The train job's write transaction.
        key: The recipe.
        evidence: Its walk-forward folds; None where it was not on trial.
        live: Its live scores, see `live_of`; None where nobody read them.
        recorded: When and by which run.
    """
    approval = read_standing(connection, key)
    if approval.accepted:
        sentence = None if live is None else loses_live(live)
        if sentence is not None:
            record_loss(connection, key, LIVE, sentence, recorded)
    elif evidence is not None and approval.may_ask:
        together = evidence if live is None else evidence.with_later(live)
        record_attempt(connection, key, together, judge_config(together, approval.attempts + 1), recorded)

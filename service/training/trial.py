"""The gate at work: what a training brought is held against a recipe's standing."""

from sqlalchemy import Connection

from models.gate import Evidence, judge_recipe, loses_live
from service.training.live import live_evidence
from service.training.repository import Recorded
from service.training.standing import LIVE, RecipeKey, read_standing, record_asking, record_loss


def judge_standing(
    connection: Connection, key: RecipeKey, evidence: Evidence | None, origin: str, recorded: Recorded
) -> None:
    """Judge a recipe on new evidence, or send an accepted one back that loses live; else its standing stands.

    Args:
        connection: The train job's write transaction.
        key: The recipe.
        evidence: Its walk-forward folds; None where it was not on trial.
        origin: Whose live scores count.
        recorded: When and by which run.
    """
    standing = read_standing(connection, key)
    if standing.accepted:
        sentence = loses_live(live_evidence(connection, key, origin))
        if sentence is not None:
            record_loss(connection, key, LIVE, sentence, recorded)
    elif evidence is not None and standing.may_ask:
        together = evidence.with_later(live_evidence(connection, key, origin))
        record_asking(connection, key, together, judge_recipe(together, standing.askings + 1), recorded)

"""Who serves after a training: the first form of the gate.

A network serves while its pinball on the judged sessions is not worse than the random walk's fitted on the
same sessions. The first one is promoted by that rule, and a refit keeps the place by it; a refit that fails
gives the place back to the random walk, because it is the recipe that has been judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.training.repository import Decision, Recorded, champion, decide, version_ids


@dataclass(frozen=True, slots=True)
class NewVersions:
    """What one training made for a (group, strategy); None where no network was trained."""

    group: str
    strategy: str
    random_walk: int
    network: int | None
    metrics: Mapping[str, Any]
    architecture: str = "lstm"


def judge_network(metrics: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a network may serve, and the sentence that says why.

    Args:
        metrics: `pinball` and `random_walk_pinball` in basis points over `n` judged forecasts.
    """
    own, walk, n = float(metrics["pinball"]), float(metrics["random_walk_pinball"]), int(metrics["n"])
    passes = own <= walk
    relation = "not worse than" if passes else "worse than"
    return passes, f"pinball {own:.2f} bp on {n} judged forecasts is {relation} the random walk's {walk:.2f} bp"


def promote(connection: Connection, new: NewVersions, recorded: Recorded) -> str:
    """Decide on the versions of one training inside the caller's transaction; returns the sentence to tell."""
    incumbent = champion(connection, new.group, new.strategy)
    _retire_others(connection, new, recorded)
    if new.network is None:
        serving_network = incumbent is not None and incumbent.is_network
        status = "challenger" if serving_network else "champion"
        reason = "the random walk stands beside the network" if serving_network else "no network serves this group yet"
        decide(connection, new.random_walk, Decision(status, reason, {}), recorded)
        return f"the random walk serves: {reason}" if status == "champion" else reason
    passes, sentence = judge_network(new.metrics)
    figures = {key: new.metrics[key] for key in ("n", "pinball", "random_walk_pinball", "skill", "p")}
    first = incumbent is None or not incumbent.is_network
    if passes:
        reason = f"{'promoted' if first else 'the refit keeps the place'}: {sentence}"
        decide(connection, new.random_walk, Decision("challenger", "a network serves", {}), recorded)
        decide(connection, new.network, Decision("champion", reason, figures), recorded)
    else:
        reason = f"{'not promoted' if first else 'the refit loses the place'}: {sentence}"
        decide(connection, new.network, Decision("challenger", reason, figures), recorded)
        walk_reason = f"the random walk serves: the {new.architecture}'s {sentence}"
        decide(connection, new.random_walk, Decision("champion", walk_reason, {}), recorded)
    return f"{new.architecture} {reason}"


def _retire_others(connection: Connection, new: NewVersions, recorded: Recorded) -> None:
    """The old versions step back first: one champion per (group, strategy) at any instant."""
    kinds = [(False, new.random_walk)] + ([] if new.network is None else [(True, new.network)])
    for network, newest in kinds:
        for old in version_ids(connection, new.group, new.strategy, network=network):
            if old != newest:
                decide(connection, old, Decision("retired", f"replaced by version {newest}", {}), recorded)

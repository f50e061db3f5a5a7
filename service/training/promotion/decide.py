"""Who serves after a training, and by hand.

The recipe is judged (see `models.gate`): a network whose recipe is not accepted stands beside the random walk and
never in front of it. A refit of an accepted recipe takes over unless it is clearly worse than the version it
follows; then that one goes on serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from models.gate import evaluate_refit
from service.training.registry.approvals import Approval, ConfigKey, key_of, read_standing
from service.training.registry.versions import Decision, ModelVersion, Recorded, champion, decide, version_ids


@dataclass(frozen=True, slots=True)
class NewVersions:
    """What one training made for a (group, strategy).

    Attributes:
        group: The group.
        strategy: The strategy.
        random_walk: Id of the random walk's version.
        network: Id of the network's version; None where none was trained.
        metrics: The network's figures on its judging span (see `models.training.holdout.judge`); `predecessor`, where
            it is there, compares it with the version it follows.
        recipe: Hash of the network's recipe.
        architecture: The network's name.
        stand_in: Id of the network trained beside one over market frames; None where there is none.
    """

    group: str
    strategy: str
    random_walk: int
    network: int | None
    metrics: Mapping[str, Any]
    config_hash: str = ""
    forecaster: str = "lstm"
    stand_in: int | None = None

    @property
    def key(self) -> ConfigKey:
        """Whose standing decides."""
        return ConfigKey(self.group, self.strategy, self.config_hash, self.forecaster)


def promote(connection: Connection, new: NewVersions, recorded: Recorded) -> str:
    """Decide on the versions of one training inside the caller's transaction; returns the sentence to tell."""
    incumbent = champion(connection, new.group, new.strategy)
    serving = incumbent if incumbent is not None and incumbent.is_network else None
    if new.network is None:
        lost = None if serving is None else read_standing(connection, key_of(serving))
        none = "no network serves this group yet"
        if serving is not None and lost is not None and lost.figures and not lost.accepted:
            none = f"version {serving.id} was sent back: {lost.reason}"
            decide(connection, serving.id, Decision("challenger", f"not promoted: {lost.reason}", {}), recorded)
            serving = None
        _retire_others(connection, new, recorded, keep=None if serving is None else serving.id)
        status = "champion" if serving is None else "challenger"
        reason = none if serving is None else "the random walk stands beside the network"
        decide(connection, new.random_walk, Decision(status, reason, {}), recorded)
        return f"the random walk serves: {reason}" if serving is None else reason
    approval = read_standing(connection, new.key)
    figures = {**_figures(new.metrics), **approval.figures}
    if serving is not None and not read_standing(connection, key_of(serving)).accepted:
        serving = None
    if new.stand_in is not None:
        beside = f"it stands in for symbols that the {new.forecaster} has not seen, once its own recipe is accepted"
        decide(connection, new.stand_in, Decision("challenger", beside, {}), recorded)
    takes_over, sentence = _verdict(new, approval, serving)
    _retire_others(connection, new, recorded, keep=None if takes_over or serving is None else serving.id)
    if takes_over:
        decide(connection, new.random_walk, Decision("challenger", "a network serves", {}), recorded)
        decide(connection, new.network, Decision("champion", sentence, figures), recorded)
    else:
        decide(connection, new.network, Decision("challenger", sentence, figures), recorded)
        walk = Decision("challenger", f"version {serving.id} goes on serving", {}) if serving else None
        walk = walk or Decision("champion", f"the random walk serves: the {new.forecaster} is {sentence}", {})
        decide(connection, new.random_walk, walk, recorded)
    return f"{new.forecaster} {sentence}"


def _verdict(new: NewVersions, approval: Approval, serving: ModelVersion | None) -> tuple[bool, str]:
    """Whether the new network takes over, and the sentence that says why."""
    if not approval.accepted:
        return False, f"not promoted: {approval.reason}"
    if serving is None:
        return True, f"promoted: {approval.reason}"
    beside = new.metrics.get("predecessor")
    if beside is not None and beside["version"] != serving.id:
        beside = {"error": f"version {beside['version']} served when its training began"}
    if beside is None or "error" in beside:
        why = "" if beside is None else f" ({beside['error']})"
        return True, f"promoted: version {serving.id} could not be compared with{why}; {approval.reason}"
    passes, sentence = evaluate_refit(beside["pinball"], beside["predecessor_pinball"], beside["n"])
    if passes:
        return True, f"the refit takes over from version {serving.id}: {sentence}"
    return False, f"not promoted: {sentence}, so version {serving.id} goes on serving"


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the judging span that are kept with a decision."""
    kept = {key: metrics[key] for key in ("n", "pinball", "random_walk_pinball", "skill", "p") if key in metrics}
    return {**kept, **({"predecessor": metrics["predecessor"]} if metrics.get("predecessor") else {})}


def _retire_others(connection: Connection, new: NewVersions, recorded: Recorded, keep: int | None) -> None:
    """The old versions step back first: one champion per (group, strategy) at any instant."""
    kinds = [(False, new.random_walk)] + ([] if new.network is None else [(True, new.network)])
    for network, newest in kinds:
        for old in version_ids(connection, new.group, new.strategy, network=network):
            if old not in (newest, keep, new.stand_in):
                decide(connection, old, Decision("retired", f"replaced by version {newest}", {}), recorded)

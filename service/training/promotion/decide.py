"""Decides which version serves after a training.

The gate tests the model config (see `models.gate`). If it is not accepted, the network is a challenger and the random
walk serves. A refit of an accepted config takes over unless it is clearly worse than the version before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from models.gate import evaluate_refit
from service.training.registry.approvals import Approval, ConfigKey, approval_key, read_approval
from service.training.registry.versions import Decision, ModelVersion, Recorded, champion, decide, version_ids
from service.vocabulary import ModelStatus


@dataclass(frozen=True, slots=True)
class NewVersions:
    """Versions of one training for a (group, strategy).

    Attributes:
        group: The group.
        strategy: The strategy.
        random_walk: Id of the random walk's version.
        network: Id of the network's version; None if none was trained.
        metrics: The network's figures on its test span (see `models.training.holdout`); `predecessor`, if present,
            compares it with the version before it.
        config_hash: Hash of the network's config.
        forecaster: The network's name.
        substitute: Id of the network trained with a spatiotemporal one; None without one.
    """

    group: str
    strategy: str
    random_walk: int
    network: int | None
    metrics: Mapping[str, Any]
    config_hash: str = ""
    forecaster: str = "lstm"
    substitute: int | None = None

    @property
    def key(self) -> ConfigKey:
        """Return the key of the approval that decides."""
        return ConfigKey(self.group, self.strategy, self.config_hash, self.forecaster)


def promote(connection: Connection, new: NewVersions, recorded: Recorded) -> str:
    """Decide on the versions of one training and return the decision as a sentence.

    The decisions are part of the caller's transaction.
    """
    incumbent = champion(connection, new.group, new.strategy)
    serving = incumbent if incumbent is not None and incumbent.is_network else None
    if new.network is None:
        approval = None if serving is None else read_approval(connection, approval_key(serving))
        without_network = "no network serves this group yet"
        if serving is not None and approval is not None and approval.figures and not approval.accepted:
            without_network = f"version {serving.id} was withdrawn: {approval.reason}"
            decide(
                connection,
                serving.id,
                Decision(ModelStatus.CHALLENGER, f"not promoted: {approval.reason}", {}),
                recorded,
            )
            serving = None
        _retire_others(connection, new, recorded, keep=None if serving is None else serving.id)
        status = ModelStatus.CHAMPION if serving is None else ModelStatus.CHALLENGER
        reason = without_network if serving is None else "a network serves"
        decide(connection, new.random_walk, Decision(status, reason, {}), recorded)
        return f"the random walk serves: {reason}" if serving is None else reason
    approval = read_approval(connection, new.key)
    figures = {**_figures(new.metrics), **approval.figures}
    if serving is not None and not read_approval(connection, approval_key(serving)).accepted:
        serving = None
    if new.substitute is not None:
        role = f"it serves symbols that the {new.forecaster} has not seen, once its own config is accepted"
        decide(connection, new.substitute, Decision(ModelStatus.CHALLENGER, role, {}), recorded)
    takes_over, reason = _takes_over(new, approval, serving)
    _retire_others(connection, new, recorded, keep=None if takes_over or serving is None else serving.id)
    if takes_over:
        decide(connection, new.random_walk, Decision(ModelStatus.CHALLENGER, "a network serves", {}), recorded)
        decide(connection, new.network, Decision(ModelStatus.CHAMPION, reason, figures), recorded)
    else:
        decide(connection, new.network, Decision(ModelStatus.CHALLENGER, reason, figures), recorded)
        walk = Decision(ModelStatus.CHALLENGER, f"version {serving.id} keeps serving", {}) if serving else None
        walk = walk or Decision(ModelStatus.CHAMPION, f"the random walk serves: the {new.forecaster} is {reason}", {})
        decide(connection, new.random_walk, walk, recorded)
    return f"{new.forecaster} {reason}"


def _takes_over(new: NewVersions, approval: Approval, serving: ModelVersion | None) -> tuple[bool, str]:
    """Return whether the new network takes over, and why."""
    if not approval.accepted:
        return False, f"not promoted: {approval.reason}"
    if serving is None:
        return True, f"promoted: {approval.reason}"
    comparison = new.metrics.get("predecessor")
    if comparison is not None and comparison["version"] != serving.id:
        comparison = {"error": f"version {comparison['version']} served when its training began"}
    if comparison is None or "error" in comparison:
        why = "" if comparison is None else f" ({comparison['error']})"
        return True, f"promoted: version {serving.id} could not be compared with{why}; {approval.reason}"
    passes, sentence = evaluate_refit(comparison["pinball"], comparison["predecessor_pinball"], comparison["n"])
    if passes:
        return True, f"the refit takes over from version {serving.id}: {sentence}"
    return False, f"not promoted: {sentence}, so version {serving.id} keeps serving"


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the test span that are stored with a decision."""
    kept = {key: metrics[key] for key in ("n", "pinball", "random_walk_pinball", "skill", "p") if key in metrics}
    return {**kept, **({"predecessor": metrics["predecessor"]} if metrics.get("predecessor") else {})}


def _retire_others(connection: Connection, new: NewVersions, recorded: Recorded, keep: int | None) -> None:
    """Retire the old versions, before the new ones are decided on.

    There is one champion per (group, strategy) at any instant.
    """
    kinds = [(False, new.random_walk)] + ([] if new.network is None else [(True, new.network)])
    for network, newest in kinds:
        for old in version_ids(connection, new.group, new.strategy, network=network):
            if old not in (newest, keep, new.substitute):
                decide(connection, old, Decision(ModelStatus.RETIRED, f"replaced by version {newest}", {}), recorded)

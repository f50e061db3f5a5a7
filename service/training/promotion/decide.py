"""Decides which version serves after a training.

The gate tests the model config (see `models.gate`). If it is not accepted, the network is a challenger and the random
walk serves. A refit of an accepted config takes over unless it is clearly worse than the version before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from models.gate import evaluate_refit
from service.training.registry.approvals import Approval, ConfigKey, approval_key, read_approval
from service.training.registry.versions import (
    BEFORE_NETWORK,
    Decision,
    ModelVersion,
    Recorded,
    champion,
    decide,
    version_ids,
)
from service.vocabulary import ModelStatus


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """A network of a training.

    Attributes:
        version: Id of its version.
        metrics: Its figures on its test span (see `models.training.holdout`); `predecessor`, if present, compares it
            with the version before it.
        config_hash: Hash of its config.
        forecaster: Its name.
    """

    version: int
    metrics: Mapping[str, Any]
    config_hash: str
    forecaster: str


@dataclass(frozen=True, slots=True)
class NewVersions:
    """Versions of one training for a (group, strategy).

    Attributes:
        group: The group.
        strategy: The strategy.
        random_walk: Id of the random walk's version.
        network: The chosen network; None if none was trained.
        substitute: The network trained with a spatiotemporal one; None without one.
        reason_without: Why no network was trained; empty if one was.
    """

    group: str
    strategy: str
    random_walk: int
    network: NewNetwork | None
    substitute: NewNetwork | None = None
    reason_without: str = ""

    def key(self, network: NewNetwork) -> ConfigKey:
        """Return the key of the approval that decides on a network."""
        return ConfigKey(self.group, self.strategy, network.config_hash, network.forecaster)


def promote(connection: Connection, new: NewVersions, recorded: Recorded) -> str:
    """Decide on the versions of one training and return the decision as a sentence.

    The decisions are part of the caller's transaction. A pinned version keeps serving.
    If the chosen network is not accepted and its substitute is, or
    if an older version of the substitute serves and is better, the decision is on the substitute.
    """
    network, substitute = new.network, new.substitute
    incumbent = champion(connection, new.group, new.strategy)
    if incumbent is not None and incumbent.pinned_at is not None:
        return _keep_pinned(connection, new, incumbent, recorded)
    if network is None:
        return _promote_random_walk(connection, new, recorded)
    if substitute is None:
        return _promote_network(connection, new, network, recorded)
    chosen, other = (read_approval(connection, new.key(each)) for each in (network, substitute))
    serving = _accepted_network(connection, new)
    takes_over, reason = _takes_over(network, chosen, serving)
    own_serves = serving is not None and serving.config_hash == substitute.config_hash
    if other.accepted and not takes_over and (own_serves or not chosen.accepted):
        figures = {**_figures(network.metrics), **chosen.figures}
        decide(connection, network.version, Decision(ModelStatus.CHALLENGER, reason, figures), recorded)
        swapped = replace(new, network=substitute, substitute=network)
        why = "not promoted" if chosen.accepted else "not accepted"
        return f"{network.forecaster} {why}: {_promote_network(connection, swapped, substitute, recorded)}"
    role = f"it serves symbols that the {network.forecaster} has not seen"
    if not other.accepted:
        role = f"not promoted: {other.reason}"
    decide(connection, substitute.version, Decision(ModelStatus.CHALLENGER, role, {}), recorded)
    return _promote_network(connection, new, network, recorded)


def _keep_pinned(connection: Connection, new: NewVersions, pinned: ModelVersion, recorded: Recorded) -> str:
    """Let the pinned version serve; the new versions become challengers, with what the gate found."""
    sentence = f"version {pinned.id} is pinned"
    _retire_others(connection, new, recorded, keep=pinned.id)
    decide(connection, new.random_walk, Decision(ModelStatus.CHALLENGER, sentence, {}), recorded)
    for network in (new.network, new.substitute):
        if network is not None:
            approval = read_approval(connection, new.key(network))
            figures = {**_figures(network.metrics), **approval.figures}
            reason = f"not promoted: {sentence}; {approval.reason}"
            decide(connection, network.version, Decision(ModelStatus.CHALLENGER, reason, figures), recorded)
    return f"{sentence} and keeps serving"


def _promote_random_walk(connection: Connection, new: NewVersions, recorded: Recorded) -> str:
    """Decide on the versions of a training without a network."""
    serving = _serving_network(connection, new)
    reason = f"the random walk serves: {new.reason_without}" if new.reason_without else BEFORE_NETWORK
    if serving is not None:
        approval = read_approval(connection, approval_key(serving))
        if approval.figures and not approval.accepted:
            reason = f"the random walk serves: version {serving.id} was withdrawn: {approval.reason}"
            withdrawn = Decision(ModelStatus.CHALLENGER, f"not promoted: {approval.reason}", {})
            decide(connection, serving.id, withdrawn, recorded)
            serving = None
    _retire_others(connection, new, recorded, keep=None if serving is None else serving.id)
    if serving is not None:
        decide(connection, new.random_walk, Decision(ModelStatus.CHALLENGER, "a network serves", {}), recorded)
        return "a network serves"
    decide(connection, new.random_walk, Decision(ModelStatus.CHAMPION, reason, {}), recorded)
    return reason


def _promote_network(connection: Connection, new: NewVersions, network: NewNetwork, recorded: Recorded) -> str:
    """Decide on a network and the random walk trained with it."""
    approval = read_approval(connection, new.key(network))
    figures = {**_figures(network.metrics), **approval.figures}
    serving = _accepted_network(connection, new)
    takes_over, reason = _takes_over(network, approval, serving)
    if approval.accepted and serving is not None and not takes_over:
        reason += f", so version {serving.id} keeps serving"
    _retire_others(connection, new, recorded, keep=None if takes_over or serving is None else serving.id)
    if takes_over:
        decide(connection, new.random_walk, Decision(ModelStatus.CHALLENGER, "a network serves", {}), recorded)
        decide(connection, network.version, Decision(ModelStatus.CHAMPION, reason, figures), recorded)
    else:
        decide(connection, network.version, Decision(ModelStatus.CHALLENGER, reason, figures), recorded)
        walk = Decision(ModelStatus.CHALLENGER, f"version {serving.id} keeps serving", {}) if serving else None
        sentence = f"the random walk serves: the {network.forecaster} is {reason}"
        decide(connection, new.random_walk, walk or Decision(ModelStatus.CHAMPION, sentence, {}), recorded)
    return f"{network.forecaster} {reason}"


def _serving_network(connection: Connection, new: NewVersions) -> ModelVersion | None:
    """Return the champion if it is a network."""
    incumbent = champion(connection, new.group, new.strategy)
    return incumbent if incumbent is not None and incumbent.is_network else None


def _accepted_network(connection: Connection, new: NewVersions) -> ModelVersion | None:
    """Return the champion if it is a network whose config is still accepted."""
    serving = _serving_network(connection, new)
    return serving if serving is not None and read_approval(connection, approval_key(serving)).accepted else None


def _takes_over(network: NewNetwork, approval: Approval, serving: ModelVersion | None) -> tuple[bool, str]:
    """Return whether the new network takes over, and why."""
    if not approval.accepted:
        return False, f"not promoted: {approval.reason}"
    if serving is None:
        return True, f"promoted: {approval.reason}"
    comparison = network.metrics.get("predecessor")
    if comparison is not None and comparison["version"] != serving.id:
        comparison = {"error": f"version {comparison['version']} served when its training began"}
    if comparison is None or "error" in comparison:
        why = "" if comparison is None else f" ({comparison['error']})"
        return True, f"promoted: version {serving.id} could not be compared with{why}; {approval.reason}"
    passes, sentence = evaluate_refit(comparison["pinball"], comparison["predecessor_pinball"], comparison["n"])
    if passes:
        return True, f"the refit takes over from version {serving.id}: {sentence}"
    return False, f"not promoted: {sentence}"


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the test span that are stored with a decision."""
    kept = {key: metrics[key] for key in ("n", "pinball", "random_walk_pinball", "skill", "p") if key in metrics}
    return {**kept, **({"predecessor": metrics["predecessor"]} if metrics.get("predecessor") else {})}


def _retire_others(connection: Connection, new: NewVersions, recorded: Recorded, keep: int | None) -> None:
    """Retire the old versions, before the new ones are decided on.

    There is one champion per (group, strategy) at any instant.
    """
    kinds = [(False, new.random_walk)] + ([] if new.network is None else [(True, new.network.version)])
    substitute = None if new.substitute is None else new.substitute.version
    for network, newest in kinds:
        for old in version_ids(connection, new.group, new.strategy, network=network):
            if old not in (newest, keep, substitute):
                decide(connection, old, Decision(ModelStatus.RETIRED, f"replaced by version {newest}", {}), recorded)

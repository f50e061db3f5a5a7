"""Verifies both chains link by link, and compares them with heads that were recorded outside the database.

Hashes alone do not show a chain that was cut short, or one that was rewritten with new hashes: for that a head must be
known from elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from service.db.hash_chain import GENESIS
from service.hash_chains.links import Chain, Head, Heads, Link, find_strays, read_links

SHOWN = 20
"""Faults that a report keeps, so that memory does not grow with them; the others are counted."""


@dataclass
class KnownHeads:
    """Heads recorded outside the database.

    Attributes:
        numbered: (chain, number) -> its hash.
        hashes: Hashes of links whose chain and number are not known.
    """

    numbered: dict[tuple[Chain, int], str] = field(default_factory=dict)
    hashes: set[str] = field(default_factory=set)

    def add(self, heads: Heads) -> list[str]:
        """Add heads; returns a sentence for each that differs from an earlier one of the same number."""
        faults = []
        for chain in Chain:
            head = heads.of(chain)
            if head.number == 0:
                continue
            before = self.numbered.setdefault((chain, head.number), head.hash)
            if before != head.hash:
                faults.append(
                    f"two recorded heads of {chain.value} {head.number} differ "
                    f"({before[:16]} and {head.hash[:16]}): the chain was rewritten between them"
                )
        return faults


@dataclass
class Report:
    """Result of a verification.

    Attributes:
        links: Number of links, by chain.
        rows: Number of rows they cover, by chain.
        heads: The newest link of each chain.
        faults: The first faults, a sentence each.
        fault_count: Number of all faults.
    """

    links: dict[Chain, int] = field(default_factory=lambda: dict.fromkeys(Chain, 0))
    rows: dict[Chain, int] = field(default_factory=lambda: dict.fromkeys(Chain, 0))
    heads: Heads = field(default_factory=Heads)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def add(self, sentence: str) -> None:
        """Count a fault, and keep it if it is among the first."""
        self.fault_count += 1
        if len(self.faults) < SHOWN:
            self.faults.append(sentence)

    def sentences(self) -> list[str]:
        """Return the faults; the last sentence counts those that are not kept."""
        more = self.fault_count - len(self.faults)
        return [*self.faults, f"and {more} more faults"] if more else list(self.faults)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "editions": self.links[Chain.EDITIONS],
            "forecasts": self.rows[Chain.EDITIONS],
            "score_batches": self.links[Chain.SCORE_BATCHES],
            "scores": self.rows[Chain.SCORE_BATCHES],
            "heads": self.heads.document(),
            "fault_count": self.fault_count,
            "faults": self.faults,
        }


class Verifier:
    """Checks links in their order.

    Args:
        known: Heads recorded elsewhere; each must be a link of its chain.
    """

    def __init__(self, known: KnownHeads | None = None) -> None:
        known = known or KnownHeads()
        self.report = Report()
        self._numbered = dict(known.numbered)
        self._hashes = set(known.hashes)
        self._last = dict.fromkeys(Chain, Head())

    def check(self, link: Link) -> None:
        """Check a link against the one before it, its hash, and the known heads."""
        report, chain, number = self.report, link.chain.value, link.number
        last = self._last[link.chain]
        if number != last.number + 1:
            report.add(f"{chain} {last.number + 1} is missing: the next one stored is {number}")
        if link.header.get("previous_hash") != last.hash:
            report.add(f"{chain} {number} does not name the hash of the {chain} before it")
        if not _matches(link):
            rows = "rows do" if link.chain == Chain.EDITIONS else "scores do"
            report.add(f"{chain} {number} was altered: its {rows} not give its hash")
        recorded = self._numbered.pop((link.chain, number), link.hash)
        if recorded != link.hash:
            report.add(
                f"{chain} {number} was rewritten: its hash is {link.hash[:16]}, the recorded head has {recorded[:16]}"
            )
        self._hashes.discard(link.hash)
        report.links[link.chain] += 1
        report.rows[link.chain] += len(link.parts["forecasts"]) if link.chain == Chain.EDITIONS else link.rows
        self._last[link.chain] = Head(number, link.hash)

    def end(self) -> Report:
        """Return the report, once every link was checked."""
        report = self.report
        report.heads = Heads(self._last[Chain.EDITIONS], self._last[Chain.SCORE_BATCHES])
        for chain, missing in _newest(self._numbered).items():
            last = self._last[chain].number
            report.add(
                f"the {chain.plural} end at {last}, but a recorded head is {chain.value} {missing}: "
                f"{missing - last} were cut off"
                if missing > last
                else f"{chain.value} {missing} of a recorded head is missing"
            )
        for text in sorted(self._hashes - {GENESIS}):
            report.add(f"no edition and no score batch has the hash {text}: the chain was cut short or rewritten")
        return report


def verify_links(links: Iterable[Link], known: KnownHeads | None = None) -> Report:
    """Verify links from anywhere: editions, then score batches, or mixed."""
    verifier = Verifier(known)
    for link in links:
        verifier.check(link)
    return verifier.end()


def verify_database(connection: Connection, known: KnownHeads | None = None) -> Report:
    """Verify both chains as stored, and that no row is outside them."""
    report = verify_links(read_links(connection), known)
    for sentence in find_strays(connection):
        report.add(sentence)
    return report


def _matches(link: Link) -> bool:
    try:
        return link.computed_hash() == link.hash
    except (TypeError, ValueError):  # a figure that is NaN, or a value that JSON does not have
        return False


def _newest(numbered: Mapping[tuple[Chain, int], str]) -> dict[Chain, int]:
    newest: dict[Chain, int] = {}
    for chain, number in numbered:
        newest[chain] = max(number, newest.get(chain, 0))
    return newest

"""Delivers the outbox: threads of a scheduler process that claim, send and record.

Any scheduler delivers. Deliveries are claimed under a lease, so that several share the work, and none is lost if one
is killed.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from service.alerts.deliveries import LEASE, RETRY_SECONDS, Claimed, claim, has_due, prune, record_result
from service.alerts.encryption import Encryption, KeyFileError
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.apprise import AppriseSender
from service.alerts.targets.result import Message, SendResult
from service.alerts.targets.webhook import WebhookSender
from service.clock import MachineClock
from service.db.session import FAULTS, Database, driver_message
from service.settings import Settings
from service.vocabulary import DeliveryState, TargetKind

THREADS = 4
"""Deliveries at a time: a slow receiver holds one."""

STOP_SECONDS = 12.0
"""How long a stop waits for what is being sent; the rest is sent again when its lease ends."""

_PRUNE_EVERY = timedelta(hours=6)

_log = structlog.get_logger(__name__)


class Sender(Protocol):
    """Sends one message to a target."""

    def send(self, claimed: Claimed, at: datetime) -> SendResult:
        """Send and return the result; every failure is a result."""
        ...


class TargetSender:
    """Sends by webhook or Apprise.

    Args:
        encryption: Decrypts targets and secrets.
        webhooks: Sends webhooks.
        apprise: Sends everything else.
    """

    def __init__(self, encryption: Encryption, webhooks: WebhookSender, apprise: AppriseSender) -> None:
        self._encryption, self._webhooks, self._apprise = encryption, webhooks, apprise

    @staticmethod
    def of(settings: Settings) -> "TargetSender":
        """Return the sender of the settings."""
        rule = AddressRule(settings.alert_loopback_http)
        return TargetSender(Encryption(settings.alert_key_path), WebhookSender(rule), AppriseSender(rule))

    def send(self, claimed: Claimed, at: datetime) -> SendResult:
        """Send one message; a target that cannot be decrypted is a failure like others."""
        try:
            url = self._encryption.decrypt(claimed.target_encrypted)
            message = Message(claimed.message_id, claimed.body)
            if claimed.target_kind == TargetKind.APPRISE:
                return self._apprise.send(url, message)
            secret = "" if claimed.secret_encrypted is None else self._encryption.decrypt(claimed.secret_encrypted)
            return self._webhooks.send(url, secret, message, at)
        except KeyFileError as error:
            return SendResult(str(error))


@dataclass(frozen=True, slots=True)
class Pace:
    """How deliveries are paced.

    Attributes:
        retry_seconds: Waits between the attempts.
        lease: How long a claim holds.
        poll_seconds: How often the outbox is looked at.
    """

    retry_seconds: Sequence[float] = RETRY_SECONDS
    lease: timedelta = LEASE
    poll_seconds: float = 1.0


class Deliverer:
    """The threads that deliver.

    Args:
        database: The database with the outbox.
        machine: Machine time.
        sender: Sends a message.
        pace: Waits, lease and polling.
    """

    def __init__(self, database: Database, machine: MachineClock, sender: Sender, pace: Pace | None = None) -> None:
        self._database, self._machine, self._sender = database, machine, sender
        self._pace = Pace() if pace is None else pace
        self._stop = threading.Event()
        self._pruned_at: datetime | None = None
        self._threads = [
            threading.Thread(target=self._loop, args=(number,), name=f"alerts-{number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more, and wait a limited time for what is being sent."""
        self._stop.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(until - time.monotonic(), 0.0))

    def deliver_next(self) -> bool:
        """Deliver at most one message; return whether one was due."""
        with self._database.reading() as connection:
            if not has_due(connection, self._machine.now(connection)):
                return False
        with self._database.transaction() as connection:
            now = self._machine.now(connection)
            claimed = claim(connection, now, self._pace.lease)
        if claimed is None:
            return False
        try:
            result = self._sender.send(claimed, now)
        except Exception as error:  # a defect must not lose the message or stop the others; the log has the trace
            _log.exception("an alert could not be sent", delivery=claimed.id)
            result = SendResult(f"internal error: {type(error).__name__}")
        with self._database.transaction() as connection:
            now = self._machine.now(connection)
            state = record_result(connection, claimed, result, now, self._pace.retry_seconds)
        if state is DeliveryState.DEAD:
            _log.error("alert given up; see `tplus alerts dead`", delivery=claimed.id, error=result.error)
        elif result.error is not None:
            _log.warning("alert not delivered", delivery=claimed.id, attempt=claimed.attempt, error=result.error)
        return True

    def _loop(self, number: int) -> None:
        failing = False
        # The threads look one after the other: together they poll once per interval.
        self._stop.wait(self._pace.poll_seconds * number / THREADS)
        while not self._stop.is_set():
            try:
                worked = self.deliver_next()
                if number == 0 and not worked:
                    self._prune()
                failing = False
            except FAULTS as error:
                worked = False
                if not failing:  # once, not at every poll
                    _log.warning("alerts wait for the database", error=driver_message(error))
                failing = True
            if not worked:
                self._stop.wait(self._pace.poll_seconds)

    def _prune(self) -> None:
        """Delete old rows, a few times a day."""
        with self._database.reading() as connection:
            now = self._machine.now(connection)
        if self._pruned_at is None or now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = now
            with self._database.transaction() as connection:
                prune(connection, now)

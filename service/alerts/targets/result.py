"""A message, and the result of sending it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send.

    Attributes:
        id: The same in every attempt.
        body: The JSON document.
    """

    id: str
    body: str


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one attempt.

    Attributes:
        error: Why it failed, in one line; None if it was delivered.
        retry_after: Seconds that the receiver wants us to wait.
        is_final: Whether further attempts are useless.
    """

    error: str | None
    retry_after: float = 0.0
    is_final: bool = False

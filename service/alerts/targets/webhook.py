"""Sends a signed webhook as Standard Webhooks describes it, within limits, without following redirects."""

import ssl
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import httpcore
import httpx
from standardwebhooks import Webhook

from service.alerts.targets.addresses import AddressRule, RefusedAddress, UnknownHost
from service.alerts.targets.connection import CheckedNetwork, Limits
from service.alerts.targets.result import Message, SendResult

SECONDS = 10.0
"""Time in total for one attempt: resolving, connecting, TLS, request and answer."""

ANSWER_BYTES = 64 * 1024
"""Bytes of an answer that are read."""

_GONE = 410
_RETRY_AFTER_LIMIT = 24 * 3600


class WebhookSender:
    """Sends webhooks.

    Args:
        rule: The rule for addresses.
        context: TLS; None = the certificate authorities of certifi, or those of SSL_CERT_FILE.
        seconds: Time in total for one attempt.
    """

    def __init__(self, rule: AddressRule, context: ssl.SSLContext | None = None, seconds: float = SECONDS) -> None:
        self._rule, self._seconds = rule, seconds
        self._context = httpx.create_ssl_context() if context is None else context

    def send(self, url: str, secret: str, message: Message, at: datetime) -> SendResult:
        """Send one message and return its result; every failure is a result.

        Args:
            url: The target.
            secret: Signs the message.
            message: The message.
            at: Machine time, aware UTC: part of what is signed.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": "tplus-alerts/1",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message.id, at, message.body),
        }
        limits = Limits(self._seconds, ANSWER_BYTES)
        # A name that was of this machine when the target was added may be another's by now.
        rule = replace(self._rule, only_loopback=urlsplit(url).scheme == "http")
        network = CheckedNetwork(rule, limits)
        try:
            # A pool for each message: a connection that is kept could be used for an address that is refused by now.
            with httpcore.ConnectionPool(
                ssl_context=self._context, network_backend=network, max_connections=1, retries=0
            ) as pool:
                with pool.stream("POST", url, headers=list(headers.items()), content=message.body.encode()) as answer:
                    result = _result_of(answer)
                    _read_rest(answer)
                    return result
        except (RefusedAddress, UnknownHost) as error:
            return SendResult(str(error))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            return SendResult(str(error) or type(error).__name__)
        except (httpcore.UnsupportedProtocol, ValueError) as error:
            return SendResult(f"the request could not be made: {type(error).__name__}")


def _result_of(answer: httpcore.Response) -> SendResult:
    status = answer.status
    if 200 <= status < 300:
        return SendResult(None)
    if 300 <= status < 400:
        return SendResult(f"answered {status}: redirects are not followed; add the final URL as the target")
    if status == _GONE:
        return SendResult("answered 410: the receiver wants no more; remove the subscription", is_final=True)
    return SendResult(f"answered {status}", retry_after=_retry_after(answer))


def _retry_after(answer: httpcore.Response) -> float:
    """Return the seconds that the receiver wants us to wait, at most a day."""
    for name, value in answer.headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(min(int(value.strip()[:9]), _RETRY_AFTER_LIMIT))
    return 0.0


def _read_rest(answer: httpcore.Response) -> None:
    """Read the body within the limits, so that the receiver can end its answer; the status has decided already."""
    try:
        for _ in answer.iter_stream():
            pass
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return

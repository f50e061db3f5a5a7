"""Webhooks: limits of time and bytes, no redirects, and TLS that verifies the name on a checked address."""

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.reliability.alert_receiver import running
from benchmarks.reliability.alert_targets import AT, MESSAGE, SECRET, answers
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.result import SendResult
from service.alerts.targets.webhook import ANSWER_BYTES, WebhookSender

LOOPBACK = AddressRule(loopback=True)


def certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate of a name with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(private + public)
    return path


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("ok", None),
        ("twice", None),
        ("broken", "answered 500"),
        ("redirect", "answered 307: redirects are not followed; add the final URL as the target"),
        ("gone", "answered 410: the receiver wants no more; remove the subscription"),
        ("headers", "the answer is longer than is read"),
    ],
)
def test_the_status_decides(path: str, error: str | None) -> None:
    with running() as receiver:
        result = WebhookSender(LOOPBACK).send(receiver.url(path), SECRET, MESSAGE, AT)
        assert result.error == error
        assert result.is_final == (path == "gone")
        assert receiver.connections == 1


def test_a_slow_answer_ends_at_the_limit_of_time_in_total() -> None:
    with running() as receiver:
        start = time.monotonic()
        result = WebhookSender(LOOPBACK, seconds=0.5).send(receiver.url("slow"), SECRET, MESSAGE, AT)
        assert time.monotonic() - start < 30  # each read alone would have the limit, and all of them no end
    assert result == SendResult("no complete answer within 0.5 s")


def test_an_endless_body_is_read_up_to_the_limit_of_bytes() -> None:
    with running() as receiver:
        result = WebhookSender(LOOPBACK).send(receiver.url("endless"), SECRET, MESSAGE, AT)
        assert result == SendResult(None)
    assert ANSWER_BYTES == 65_536


@pytest.mark.parametrize(("name", "error"), [("alerts.example", None), ("other.example", "Hostname mismatch")])
def test_tls_verifies_the_name_of_the_url_on_the_checked_address(tmp_path: Path, name: str, error: str | None) -> None:
    path = certificate(tmp_path, name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=str(path))
    with running(context=server) as receiver, answers("alerts.example", [["127.0.0.1"]]) as given:
        url = receiver.url("ok", "alerts.example", "https")
        result = WebhookSender(LOOPBACK, client).send(url, SECRET, MESSAGE, AT)
        assert given == [0]  # resolved once: no second answer can differ
        assert len(receiver.accepted) == (error is None)
    assert result.error is None if error is None else error in str(result.error)


def test_a_certificate_that_nothing_vouches_for_is_refused(tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate(tmp_path, "alerts.example"))
    with running(context=server) as receiver, answers("alerts.example", [["127.0.0.1"]]):
        url = receiver.url("ok", "alerts.example", "https")
        result = WebhookSender(LOOPBACK).send(url, SECRET, MESSAGE, AT)
    assert "certificate verify failed" in str(result.error)


def test_plain_http_is_not_sent_to_a_name_that_is_of_another_machine_by_now() -> None:
    with answers("alerts.example", [["93.184.215.14"]]):
        result = WebhookSender(LOOPBACK).send("HTTP://alerts.example/hook", SECRET, MESSAGE, AT)
    assert result.error == (
        "alerts.example has the address 93.184.215.14, which is not a loopback address; plain http goes to this "
        "machine only"
    )

"""The proxy's configuration as installed: Debian's nginx, without root, in front of the real API."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.clock import process_now
from tests.support.api.event_stream import listening
from tests.support.compose import ROOT, laid_over, read, seconds, variables
from tests.support.dashboard.server import serving
from tests.support.postgres import free_port

FOLDER = ROOT / "deploy" / "proxy"
UNPRIVILEGED = 65534
LIMIT = 20.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        port: Without TLS.
        tls_port: With it; nothing listens there without a certificate.
        process: nginx.
    """

    port: int
    tls_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def program() -> str:
    """Path of nginx; skips the test without it."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip("nginx is not installed")
    return found


def rendered(folder: Path, api_port: int) -> tuple[int, int]:
    """Write the configuration with this machine's places, ports and short times; returns both ports."""
    port, tls_port = free_port(), free_port()
    places = {
        " /tmp/": f" {folder}/",  # first: the folder itself is there
        "/etc/tplus-proxy/": f"{folder}/",
        "/run/tls/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
        "api:8000": f"127.0.0.1:{api_port}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "listen 8443": f"listen 127.0.0.1:{tls_port}",
        "timeout 10s": "timeout 1s",
    }
    for source in FOLDER.glob("*.conf"):
        text = source.read_text()
        for inside, here in places.items():
            text = text.replace(inside, here)
        (folder / source.name).write_text(text)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    return port, tls_port


def run(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start nginx as an unprivileged user."""
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    command = [program(), "-e", str(folder / "error.log"), *arguments]
    return subprocess.Popen(command, user=user, group=user, extra_groups=[] if user else None, stderr=subprocess.PIPE)


def certificate(folder: Path) -> None:
    """Write a certificate for localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(process_now() - timedelta(days=1))
    made = made.not_valid_after(process_now() + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    signed = made.sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the unprivileged user can reach: pytest's own cannot be entered by others."""
    with tempfile.TemporaryDirectory(prefix="tplus-proxy-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def proxy(folder: Path, filled_copy: Path) -> Iterator[Proxy]:
    """The proxy with TLS in front of the real API."""
    program()
    settings = {
        "TPLUS_TRUSTED_PROXIES": "127.0.0.1",
        "TPLUS_RATE_LIMIT": "100000/minute",
        "TPLUS_RATE_LIMIT_WRITES": "3/minute",
    }
    with serving(filled_copy, settings) as api:
        certificate(folder)
        port, tls_port = rendered(folder, api.port)
        (folder / "both.conf").write_text(both(folder))
        process = run(folder, "-g", "daemon off;", "-c", str(folder / "both.conf"))
        try:
            wait_for(port, folder)
            yield Proxy(port, tls_port, process)
        finally:
            process.send_signal(signal.SIGQUIT)
            _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors


def both(folder: Path) -> str:
    """Return the configuration with TLS, which redirects, where the redirection is replaced by the plain service."""
    text = (folder / "nginx-tls.conf").read_text()
    return text.replace("return 308 https://$host$request_uri;", f"include {folder}/service.conf;")


@pytest.fixture(scope="module")
def filled_copy(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database of its own."""
    path = tmp_path_factory.mktemp("proxied") / "own.db"
    shutil.copyfile(migrated_file, path)
    return path


def wait_for(port: int, folder: Path) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail((folder / "error.log").read_text())


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-tls.conf"])
def test_nginx_accepts_the_configuration(name: str, folder: Path) -> None:
    program()
    certificate(folder)
    rendered(folder, 8000)
    done = run(folder, "-t", "-c", str(folder / name))
    _, errors = done.communicate(timeout=LIMIT)
    assert done.returncode == 0, errors


def test_page_and_api_are_served_and_a_foreign_host_is_not(proxy: Proxy) -> None:
    page = httpx.get(proxy.url)
    assert (page.status_code, page.headers["x-content-type-options"]) == (200, "nosniff")
    assert httpx.get(f"{proxy.url}/readyz").status_code == 200
    refused = httpx.get(f"{proxy.url}/readyz", headers={"Host": "rebound.example"})
    assert (refused.status_code, refused.headers["content-type"]) == (421, "application/problem+json")


def test_tls_is_served_with_the_mounted_certificate(proxy: Proxy, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
    answer = httpx.get(f"https://localhost:{proxy.tls_port}/readyz", verify=context)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_body_too_large_is_413(proxy: Proxy) -> None:
    answer = httpx.post(f"{proxy.url}/v1/status", content=b"a" * 70_000)
    assert (answer.status_code, answer.json()["detail"]) == (413, "the body has more than 64 kB; send less")


def test_headers_and_addresses_too_large_are_refused(proxy: Proxy) -> None:
    assert httpx.get(f"{proxy.url}/healthz", headers={"X": "a" * 40_000}).status_code == 400
    assert httpx.get(f"{proxy.url}/healthz?{'a' * 40_000}").status_code == 414


def test_slow_heads_and_bodies_are_closed(proxy: Proxy) -> None:
    starts = (
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na",
    )
    for start in starts:
        with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
            client.sendall(start)
            begin = time.monotonic()
            try:
                while client.recv(10_000):
                    pass
            except ConnectionResetError:
                pass  # reset_timedout_connection
            assert time.monotonic() - begin < LIMIT / 2


def test_events_are_passed_on_at_once(proxy: Proxy) -> None:
    with listening(proxy.url) as stream:
        assert stream.next().kind in ("status", "fault")


def test_the_clients_own_forwarding_headers_do_not_count(proxy: Proxy) -> None:
    statuses = [
        httpx.post(f"{proxy.url}/readyz", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(4)
    ]
    assert statuses[-1] == 429


def test_requests_too_many_are_429_and_connections_too_many_503(proxy: Proxy) -> None:
    with httpx.Client(base_url=proxy.url) as client:
        statuses = []
        for _ in range(400):
            answer = client.get("/healthz")
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                break
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["status"] == 429


def test_the_log_has_a_line_of_json_for_each_request(proxy: Proxy, folder: Path) -> None:
    httpx.get(f"{proxy.url}/healthz?secret=1")
    lines = [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]
    assert {"client", "status", "request_id"} <= set(lines[-1])
    assert not any("secret" in line["path"] for line in lines)


def test_the_service_has_no_more_rights_than_it_needs() -> None:
    over = read("docker-compose.proxy.yml")
    stack = laid_over(read("docker-compose.yml"), over)
    service = stack["services"]["proxy"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == "10001:10001"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert seconds(service["stop_grace_period"]) >= 30
    address = service["networks"]["front"]["ipv4_address"]
    assert stack["services"]["api"]["environment"]["TPLUS_TRUSTED_PROXIES"] == address
    assert [name for name, default in variables("docker-compose.proxy.yml").items() if default is None] == []
    assert set(over["services"]) == {"proxy", "api"}


def test_the_image_has_what_the_configuration_includes() -> None:
    recipe = (FOLDER / "Dockerfile").read_text()
    (copied,) = re.findall(r"^COPY (.+) /etc/tplus-proxy/$", recipe, re.MULTILINE)
    assert set(copied.split()) == {path.name for path in FOLDER.glob("*.conf")}
    assert recipe.index("USER 10001") > recipe.index("RUN apt-get")
    included = {
        name for path in FOLDER.glob("*.conf") for name in re.findall(r"/etc/tplus-proxy/([\w.-]+)", path.read_text())
    }
    assert included <= set(copied.split())


def test_the_guide_names_every_variable() -> None:
    guide = (ROOT / "docs" / "production.md").read_text()
    assert [name for name in variables("docker-compose.proxy.yml") if f"`{name}`" not in guide] == []

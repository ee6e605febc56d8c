"""A broker whose certificate ran out, or whose name nobody knows: nothing is lost."""

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from speedtrade.testing.vendors.alpaca_http import Handler
from trading.brokers.base import BrokerError, NotCancelable, NotSent, OrderRejected, OutcomeUnknown
from trading.tests.alpaca.asks import ref, request

DAY = datetime.timedelta(days=1)


def certificate(folder: Path, ends: datetime.timedelta) -> Path:
    """A certificate of 127.0.0.1 that signs itself and ends so long from now, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Alpaca on the loopback")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{ends.days}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def behind_tls(
    vendor: Any, theirs: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Make the vendor speak TLS with a certificate that we trust; our door to it."""
    from accounts.keys import BrokerKey
    from trading.brokers.alpaca.adapter import AlpacaBroker

    plain = vendor._server.socket

    def serve(ends: datetime.timedelta) -> Any:
        pem = certificate(tmp_path, ends)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        vendor._server.socket = Handshakes(plain, context)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        settings.ALPACA_TRADING_URL = vendor.url.replace("http://", "https://")
        return AlpacaBroker(1, BrokerKey("PKALICE", "secret"), "paper")

    return serve


class Handshakes:
    """A listening socket whose connections speak TLS; `tried` counts them."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        self._listening, self._context, self.tried = listening, context, 0
        self.cut = False

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = self._listening.accept()
        self.tried += 1
        if self.cut:
            connection.close()
            raise ConnectionAbortedError("cut in the handshake")
        return self._context.wrap_socket(connection, server_side=True), address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


def refuses_nothing(broker: Any) -> str:
    """Submit, look up, cancel: each fails, none is taken for a refusal. What the submit said."""
    sent = request()
    with pytest.raises((NotSent, OutcomeUnknown)) as failed:
        broker.submit_order(sent)
    assert not isinstance(failed.value, OrderRejected)
    for ask in (broker.find_order, broker.cancel_order):
        with pytest.raises(BrokerError) as other:
            ask(ref(sent, broker_order_id="their-id"))
        assert not isinstance(other.value, NotCancelable)
    return str(failed.value)


@pytest.mark.fault("F30")
def test_a_certificate_that_ran_out_lets_nothing_through_and_is_no_refusal(
    behind_tls: Callable[..., Any], vendor: Any
) -> None:
    assert refuses_nothing(behind_tls(-DAY)) == "Alpaca cannot be reached."
    assert vendor.calls == []
    assert vendor._server.socket.tried >= 3  # the cancel was tried too
    sent = request()
    broker = behind_tls(DAY)
    assert broker.submit_order(sent).client_order_id == sent.client_order_id
    broker.cancel_order(ref(sent))
    assert [call[1] for call in vendor.calls].count("POST") == 1


@pytest.mark.fault("F30")
@pytest.mark.parametrize("reused", [False, True], ids=["first", "kept"])
def test_tls_that_breaks_once_the_order_has_left_says_nothing_of_it(
    behind_tls: Callable[..., Any], vendor: Any, monkeypatch: pytest.MonkeyPatch, reused: bool
) -> None:
    """Fails where any error of TLS counts as proof: this order is there."""
    broker = behind_tls(DAY)
    if reused:
        broker.check()
    send = Handler._send

    def garbled(handler: Any, *args: Any, **options: Any) -> None:
        if handler.command == "POST":
            raw = socket.socket(fileno=os.dup(handler.connection.fileno()))
            raw.sendall(b"no record of TLS")
            raw.close()
        send(handler, *args, **options)

    monkeypatch.setattr(Handler, "_send", garbled)
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(request())
    assert [call[1] for call in vendor.calls].count("POST") == 1


@pytest.mark.fault("F30")
def test_a_line_that_is_cut_in_the_handshake_is_proof_that_nothing_was_sent(
    behind_tls: Callable[..., Any], vendor: Any
) -> None:
    broker = behind_tls(DAY)
    vendor._server.socket.cut = True
    assert refuses_nothing(broker) == "Alpaca cannot be reached."
    assert vendor.calls == []


@pytest.mark.fault("F30")
def test_a_name_that_nobody_knows_is_proof_that_nothing_was_sent(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.keys import BrokerKey
    from trading.brokers.alpaca.adapter import AlpacaBroker

    asked = []

    def nobody(host: str, *args: Any, **options: Any) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    settings.ALPACA_TRADING_URL = "https://broker.invalid"
    assert refuses_nothing(AlpacaBroker(1, BrokerKey("A", "b"), "paper")) == (
        "Alpaca cannot be reached."
    )
    assert asked.count("broker.invalid") >= 3

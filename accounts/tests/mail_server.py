"""A mail server on the loopback, as far as letters need it: EHLO, STARTTLS, AUTH, MAIL, DATA."""

import base64
import datetime
import ipaddress
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, SECRET = "house@example.com", "canary-of-the-mail-server"


@dataclass(frozen=True)
class Taken:
    """What arrived: the envelope, whether it was encrypted, who sent it, and the letter."""

    sender: str
    to: list[str]
    encrypted: bool
    by: str
    letter: EmailMessage


@dataclass
class MailServer:
    """Says `answers[VERB]` in place of yes ("" is its greeting), hangs up after those of `hang_up`.

    Without a certificate it offers no encryption; with one it hears a password encrypted alone.
    """

    certificate: Path | None = None
    encrypted: bool = False  # from the first byte, as on port 465
    answers: dict[str, str] = field(default_factory=dict)
    hang_up: set[str] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __enter__(self) -> "MailServer":
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Talk)
        self.server.daemon_threads = True
        self.server.house = self  # type: ignore[attr-defined]
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.house: MailServer = self.server.house  # type: ignore[attr-defined]
        self.encrypted, self.by, self.sender, self.to = False, "", "", list[str]()
        try:
            if self.house.encrypted:
                self._encrypt()
            self._say(self.house.answers.get("", "220 here"))
            while line := self.rfile.readline():
                verb = line.decode().strip().partition(" ")[0].upper()
                self.house.heard.append(verb)
                self._answer(verb, line.decode().strip())
                if verb == "QUIT" or verb in self.house.hang_up:
                    return
        except OSError:
            return  # the other side went, or would not have our certificate

    def _answer(self, verb: str, line: str) -> None:
        if verb in self.house.answers:
            self._say(self.house.answers[verb])
        elif verb == "EHLO":
            offer = "AUTH PLAIN" if self.encrypted or not self.house.certificate else "STARTTLS"
            self._say(f"250-here\r\n250 {offer}")
        elif verb == "STARTTLS":
            self._say("220 go on")
            self._encrypt()
        elif verb == "AUTH":
            _, self.by, secret = base64.b64decode(line.split()[2]).decode().split("\0")
            self._say("235 yes" if (self.by, secret) == (USER, SECRET) else "535 wrong")
        elif verb == "DATA":
            self._take()
        else:
            if verb == "MAIL":
                self.sender, self.to = _address(line), []
            elif verb == "RCPT":
                self.to.append(_address(line))
            self._say("221 bye" if verb == "QUIT" else "250 yes")

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        letter = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(letter, EmailMessage)
        taken = Taken(self.sender, self.to, self.encrypted, self.by, letter)
        self.house.taken.append(taken)
        if "DATA" not in self.house.hang_up:
            self._say("250 taken")

    def _encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.house.certificate))
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.encrypted = self.connection.makefile("rb"), True

    def _say(self, words: str) -> None:
        self.connection.sendall(f"{words}\r\n".encode())


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def certificate(path: Path) -> Path:
    """A key and a certificate of 127.0.0.1 in one file; whoever is told to trust it does."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Mail on the loopback")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    kept = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(kept + made.public_bytes(serialization.Encoding.PEM))
    return path

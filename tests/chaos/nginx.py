"""nginx by the example of deploy/nginx, before web processes of this machine."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from speedtrade.datafolder import PROJECT
from speedtrade.embedded import die_with_parent
from speedtrade.testing.product import free_port
from speedtrade.testing.waiting import wait_until

#: Where `make chaos` unpacks it, if there is none.
UNPACKED = PROJECT / ".venv" / "nginx" / "usr" / "sbin"
_AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {inside}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """Where it listens, and what a client must trust for it."""

    port: int
    tls: ssl.SSLContext
    log: Path


def nginx_program() -> str:
    """Where it is; raises LookupError where it is not."""
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:{UNPACKED}"
    found = shutil.which("nginx", path=places)
    if found is None:
        raise LookupError("there is no nginx; `make chaos` and `make out` get one")
    return found


def nginx_conf(folder: Path, inside: str) -> Path:
    """A configuration whose files are all in `folder`; `inside` is what its http block says."""
    conf = folder / "nginx.conf"
    conf.write_text(_AROUND.format(folder=folder, inside=inside))
    return conf


def _example(folder: Path, listens: int, ports: tuple[int, ...]) -> str:
    """The example, with what a house puts in: processes, a certificate, and here other ports."""
    text = (PROJECT / "deploy" / "nginx" / "speedtrade.conf").read_text()
    process = "    server 127.0.0.1:8000 max_fails=0;\n"
    assert process in text
    ours = "".join(process.replace("8000", str(port)) for port in ports)
    kept = [line for line in text.replace(process, ours).splitlines() if "listen [::]" not in line]
    text = "\n".join(kept).replace("listen 443 ssl", f"listen 127.0.0.1:{listens} ssl")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    return text.replace("/etc/letsencrypt/live/trade.example.com", str(folder))


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextlib.contextmanager
def nginx_before(folder: Path, *ports: int) -> Iterator[Nginx]:
    """Run it before the web processes on these ports until the end of the block."""
    listens = free_port()
    _certificate(folder)
    (folder / "speedtrade.conf").write_text(_example(folder, listens, ports))
    conf = nginx_conf(folder, f"include {folder}/speedtrade.conf;")
    process = subprocess.Popen(
        [nginx_program(), "-c", str(conf), "-e", str(folder / "error.log")],
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    log = folder / "error.log"
    try:
        wait_until(
            lambda: (folder / "nginx.pid").exists() or process.poll() is not None,
            30,
            lambda: f"nginx runs: {log.read_text()}",
        )
        assert process.poll() is None, log.read_text()
        trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        yield Nginx(listens, trusted, log)
    finally:
        process.terminate()
        process.wait(10)

"""Certificates for tests, made by the `openssl` command: an authority, what it signed, and one that it did not.

Files in one folder. Whose they are and what is tested with them does not belong in here.
"""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Paths of what `make` made."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate, to be trusted by both sides."""
        return self.folder / "ca.pem"

    @property
    def stranger(self) -> Path:
        """The certificate of an authority that signed nothing here."""
        return self.folder / "stranger.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of `server` (127.0.0.1, localhost), `elsewhere` (another host) or `client`."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def server(self, name: str = "server", *, client_needed: bool = False) -> ssl.SSLContext:
        """A server's side of TLS; with `client_needed` only clients with the authority's certificate are let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pair(name))
        if client_needed:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make(folder: Path) -> Certificates:
    """Make them all in `folder`; about a tenth of a second."""
    for name in ("ca", "stranger"):
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN=otel-logging test {name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
    for name, alias in (
        ("server", "IP:127.0.0.1,DNS:localhost"),
        ("elsewhere", "DNS:collector.example"),
        ("client", "DNS:client.example"),
    ):
        key, asked = folder / f"{name}.key", folder / f"{name}.csr"
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", key, "-out", asked)  # fmt: skip
        extensions = folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alias}\nbasicConstraints=CA:FALSE\n")
        _openssl("x509", "-req", "-in", asked, "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-set_serial",
                 f"{len(name)}", "-days", "2", "-extfile", extensions, "-out", folder / f"{name}.pem")  # fmt: skip
    return Certificates(folder)


def _openssl(*words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

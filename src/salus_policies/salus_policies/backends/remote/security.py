# SPDX-License-Identifier: Apache-2.0
"""Who may use a policy server: a token that both sides know, and TLS by the standard library."""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from salus_policies.backends.base import BackendError

TOKEN = "SALUS_POLICY_TOKEN"
"""Environment variable with the token, where no file is named."""
MIN_TOKEN = 16
"""Characters of a token at least; `openssl rand -hex 32` makes a good one."""


def read_token(file: str) -> str:
    """The token of a file, or of the environment; empty: there is none.

    Raises:
        BackendError: the file cannot be read, others may read it, or the token is too short.
    """
    where = f"token file '{file}'" if file else f"environment variable {TOKEN}"
    token = os.environ.get(TOKEN, "")
    if file:
        path = Path(file).expanduser()
        try:
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BackendError(f"{where}: others may read it: chmod 600 {file}")
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BackendError(f"{where} cannot be read: {error}") from error
    if (file or token) and len(token) < MIN_TOKEN:
        raise BackendError(f"{where}: a token needs at least {MIN_TOKEN} characters")
    return token


def same_token(one: str, other: object) -> bool:
    """Compare two tokens in a time that does not tell where they differ."""
    return isinstance(other, str) and hmac.compare_digest(one.encode(), other.encode())


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(host) and all(ipaddress.ip_address(address).is_loopback for address in found)


@dataclass(frozen=True)
class ClientSecurity:
    """What a client shows, and how it knows its server.

    Attributes:
        token: shown to the server; empty: none.
        context: of TLS; None: the connection is plain.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = (
        *("token_file", "tls_authority", "tls_certificate", "tls_key"),
    )
    token: str = ""
    context: ssl.SSLContext | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> ClientSecurity:
        """From settings: a file with the token, the server's authority, one's own certificate.

        Raises:
            BackendError: a file cannot be used.
        """
        context = None
        authority, certificate = given.get("tls_authority", ""), given.get("tls_certificate", "")
        if authority:
            context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, given.get("tls_key", ""))
            _trust(context, authority)
        elif certificate:
            raise BackendError("tls_certificate needs tls_authority, which the server is known by")
        return cls(read_token(given.get("token_file", "")), context)


def server_context(certificate: str, key: str, clients: str) -> ssl.SSLContext | None:
    """TLS of a server; None: the connection is plain.

    Args:
        certificate: file with the server's certificate.
        key: file with its key.
        clients: file with the authority of clients' certificates; empty: they need none.

    Raises:
        BackendError: a file cannot be used.
    """
    if not certificate:
        if key or clients:
            raise BackendError("--tls-key and --tls-clients need --tls-certificate")
        return None
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key)
    if clients:
        _trust(context, clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(protocol: int, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate:
        try:
            context.load_cert_chain(certificate, key or None)
        except (OSError, ssl.SSLError) as error:
            raise BackendError(f"certificate '{certificate}' cannot be used: {error}") from error
    return context


def _trust(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise BackendError(f"authority '{authority}' cannot be used: {error}") from error

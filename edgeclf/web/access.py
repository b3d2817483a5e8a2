"""Who may use the server: the rules of `--host`, and the token that is asked for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from edgeclf.files import read_secret
from edgeclf.web.settings import TOKEN_VARIABLE

MIN_TOKEN = 16  # characters; too many to guess at the speed that `Guesses` leaves
_NAME = re.compile(r"[A-Za-z0-9._-]+")  # of a host
_TOKEN = re.compile(rf"[\x21-\x7e]{{{MIN_TOKEN},}}")  # what a header can carry
_MAKE = (
    'python3 -c "import secrets; print(secrets.token_urlsafe())" > token.txt; '
    "chmod 600 token.txt"
)


class AccessOptions(Protocol):
    """Options of `edgeclf serve` that say who may use it."""

    host: str
    allow_remote: bool
    token_file: Path | None
    no_auth: bool
    hostname: list[str]


def checked_access(
    options: AccessOptions, environment: Mapping[str, str]
) -> str | None:
    """Return the token that is asked for; None: nobody is asked.

    A server that only this machine reaches needs none, but may have one.

    Args:
        options: Of the command.
        environment: Of the process; its `EDGECLF_TOKEN` counts if not blank.

    Raises:
        ValueError: The options leave the server open by accident, contradict each
            other, or the token is too short; the sentence says what to add.
        OSError: The token's file cannot be read.
    """
    for name in options.hostname:
        if not _NAME.fullmatch(name):
            raise ValueError(
                "Expected --hostname NAME without http:// and port, such as "
                f"pi.example.org. Received: {name}."
            )
    variable = environment.get(TOKEN_VARIABLE, "").strip()
    if options.token_file is not None and variable:
        raise ValueError(
            f"Expected the token in --token_file or in {TOKEN_VARIABLE}. Received: "
            "both. Leave one out."
        )
    given = options.token_file is not None or bool(variable)
    if options.no_auth and given:
        source = "--token_file" if options.token_file is not None else TOKEN_VARIABLE
        raise ValueError(
            f"Expected --no_auth or a token. Received: both. Leave out --no_auth, so "
            f"that the token is asked for, or {source}."
        )
    if not is_loopback(options.host):
        if not options.allow_remote:
            raise ValueError(
                "Expected a host that only this machine reaches, such as 127.0.0.1. "
                f"Received: --host {options.host}. To let others reach it, add "
                "--allow_remote and --token_file FILE."
            )
        if not given and not options.no_auth:
            raise ValueError(
                f"Expected a token with --host {options.host}, which others reach. "
                f"Received: none. Make one ({_MAKE}) and add --token_file token.txt, "
                f"or set {TOKEN_VARIABLE}; or add --no_auth, so that everybody who "
                "reaches the server may use it."
            )
    if options.token_file is not None:
        return _checked(read_secret(options.token_file), str(options.token_file))
    return _checked(variable, TOKEN_VARIABLE) if variable else None


def _checked(token: str, source: str) -> str:
    """Return the token.

    Raises:
        ValueError: It is too short or cannot be sent; it is not repeated.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            f"Expected a token of {MIN_TOKEN} or more letters, digits and signs, "
            f"without spaces, in {source}. Received: {len(token)} characters"
            f"{' that are not all of these' if len(token) >= MIN_TOKEN else ''}. Make "
            f"one: {_MAKE}"
        )
    return token


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host, by name or address."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

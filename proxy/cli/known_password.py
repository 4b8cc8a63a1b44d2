"""The operator's password for commands, also where the configuration has only its hash."""

import os
import sys
from getpass import getpass

from proxy.config.password_hash import is_hash

_VARIABLE = "CAPI_PROXY_OPERATOR_PASSWORD"


class PasswordUnknownError(Exception):
    """The configuration has a hash of the password, and nobody can be asked for it."""


def known_password(configured: str) -> str:
    """Return the operator's password; if only its hash is configured, from the environment or by asking for it.

    Raises:
        PasswordUnknownError: when only its hash is configured, the variable is not set and stdin is no terminal.
    """
    if not is_hash(configured):
        return configured
    if given := os.environ.get(_VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise PasswordUnknownError(f"operator_password is a hash; put the password into {_VARIABLE}")
    return getpass("The operator's password: ")

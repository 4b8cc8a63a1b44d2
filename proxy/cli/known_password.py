"""The operator's password for commands, also where the configuration has only its hash."""

import os
import sys
from getpass import getpass

from proxy.config.password_hash import is_hash

_VARIABLE = "CAPI_PROXY_OPERATOR_PASSWORD"


class PasswordUnknownError(Exception):
    """The configuration has a hash of the password, and nobody can be asked for it."""


def known_password(configured: str) -> str:
    """Return the password, which the configuration may have as a hash alone.

    Raises:
        PasswordUnknownError: when nobody can be asked for it.
    """
    if not is_hash(configured):
        return configured
    if given := os.environ.get(_VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise PasswordUnknownError(f"operator_password is a hash; put the password into {_VARIABLE}")
    return getpass("The operator's password: ")

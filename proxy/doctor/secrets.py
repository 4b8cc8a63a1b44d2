"""Whether secrets are hard to guess; none is ever printed."""

import re
import zlib
from collections.abc import Iterator

from proxy.config.field_types import folded
from proxy.config.load import Config
from proxy.config.password_hash import is_hash
from proxy.config.schema import Settings
from proxy.doctor.finding import Finding, is_for_meta
from proxy.installation import Installation

# A random secret of 32 characters takes 34 bytes or more, even in hexadecimal digits; one that repeats itself, fewer.
_LEAST_COMPRESSED = 32
_LEAST_PASSWORD, _LEAST_DIFFERENT = 12, 6
# A random key of 32 hexadecimal digits has 9 different ones or more.
_LEAST_KEY, _LEAST_DIFFERENT_IN_KEY = 32, 8
_PLACEHOLDERS = ("accesskey", "changeme", "example", "insert", "keyofyour", "password", "placeholder", "yourown")
_QUERY_SAFE = re.compile(r"[A-Za-z0-9._~-]*")
# Tokens of Meta's have well over 100 characters.
_LEAST_TOKEN = 40


def findings(config: Config) -> Iterator[Finding]:
    """Yield secrets that are missing or weak."""
    server = config.settings.server
    if not server.secret.get_secret_value():
        yield Finding("server.secret", f"not set; one is kept in {config.data_dir}, so back that directory up")
    yield from _secret(config)
    yield from _password(config.settings)
    if is_for_meta(config.settings):
        yield from _tokens(config.settings)
    for index, site in enumerate(config.settings.site):
        for number, key in enumerate(site.access_keys):
            yield from _access_key(f"site[{index}].access_keys[{number}]", key.get_secret_value())


def _secret(config: Config) -> Iterator[Finding]:
    try:
        secret = Installation.existing(config).secret
    except OSError:
        return  # a finding about data_dir already
    if secret and len(zlib.compress(secret.encode(), 9)) < _LEAST_COMPRESSED:
        yield Finding(
            "server.secret", "repeats itself, so it can be guessed; better: openssl rand -hex 32", failing=True
        )


def _password(settings: Settings) -> Iterator[Finding]:
    password, listen = settings.server.operator_password.get_secret_value(), settings.server.operator_listen
    if (
        password
        and not is_hash(password)
        and (len(password) < _LEAST_PASSWORD or len(set(password)) < _LEAST_DIFFERENT)
    ):
        text = f"easy to guess; better: {_LEAST_PASSWORD} characters or more, at random"
        yield Finding("server.operator_password", text, failing=not listen.is_loopback)


def _access_key(path: str, key: str) -> Iterator[Finding]:
    """Yield what is wrong with a key by which anybody who has it can write to the site's pixels."""
    if not key:
        return  # not read
    if len(set(key)) < _LEAST_DIFFERENT_IN_KEY or any(word in folded(key) for word in _PLACEHOLDERS):
        yield Finding(path, "easy to guess, or a placeholder; better: openssl rand -hex 32", failing=True)
    elif len(key) < _LEAST_KEY or len(zlib.compress(key.encode(), 9)) < _LEAST_COMPRESSED:
        yield Finding(path, f"{len(key)} characters, too few or too alike; better: openssl rand -hex 32")
    if not _QUERY_SAFE.fullmatch(key):
        yield Finding(path, "has characters that a query changes; better: letters, digits, - . _ and ~ (RFC 3986)")


def _tokens(settings: Settings) -> Iterator[Finding]:
    for index, site in enumerate(settings.site):
        for number, pixel in enumerate(site.pixel):
            length = len(pixel.access_token.get_secret_value())
            if length < _LEAST_TOKEN:
                yield Finding(
                    f"site[{index}].pixel[{number}].access_token",
                    f"{length} characters are too few for a token of Meta's",
                )

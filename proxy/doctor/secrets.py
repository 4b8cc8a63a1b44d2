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

# Compressed, a random secret of 32 characters takes 34 bytes or more, even one of hexadecimal digits; one that repeats
# itself takes fewer.
_LEAST_COMPRESSED = 32
_LEAST_PASSWORD, _LEAST_DIFFERENT = 12, 6
# A random key of 32 hexadecimal digits has 9 different ones or more.
_LEAST_KEY, _LEAST_DIFFERENT_IN_KEY = 32, 8
_PLACEHOLDERS = ("accesskey", "changeme", "example", "insert", "keyofyour", "password", "placeholder", "yourown")
_QUERY_SAFE = re.compile(r"[A-Za-z0-9._~-]*")
# Tokens of Meta's have well over 100 characters.
_LEAST_TOKEN = 40
_DRAW = "openssl rand -hex 32"


def findings(config: Config) -> Iterator[Finding]:
    """Yield secrets that are missing or weak."""
    server = config.settings.server
    if not server.secret.get_secret_value():
        yield Finding("secret_absent", "server.secret", f"not set; one is kept in {config.data_dir}", _DRAW)
    yield from _secret(config)
    yield from _password(config.settings)
    if is_for_meta(config.settings):
        yield from _tokens(config.settings)
    for index, site in enumerate(config.settings.site):
        for number, key in enumerate(site.access_keys):
            yield from _access_key(f"site[{index}].access_keys[{number}]", key.get_secret_value())


def _secret(config: Config) -> Iterator[Finding]:
    try:
        installation = Installation.existing(config)
    except (OSError, UnicodeDecodeError):
        return  # there is a finding about data_dir already
    secret = installation.secret
    if secret and len(zlib.compress(secret.encode(), 9)) < _LEAST_COMPRESSED:
        yield Finding("secret_weak", "server.secret", "repeats itself", _DRAW)
    for number, old in enumerate(installation.old_secrets):
        if old == secret:
            yield Finding("old_secret_current", f"server.old_secrets[{number}]", "the same as server.secret", _DRAW)


def _password(settings: Settings) -> Iterator[Finding]:
    password, listen = settings.server.operator_password.get_secret_value(), settings.server.operator_listen
    is_weak = len(password) < _LEAST_PASSWORD or len(set(password)) < _LEAST_DIFFERENT
    if password and is_weak and not is_hash(password):
        code = "password_weak_on_loopback" if listen.is_loopback else "password_weak"
        seen = f"fewer than {_LEAST_PASSWORD} characters, or too few different ones"
        yield Finding(code, "server.operator_password", seen, _DRAW)


def _access_key(path: str, key: str) -> Iterator[Finding]:
    """Yield what is wrong with an access key; anybody who has it can send events to the site's pixels."""
    if not key:
        return  # a key that was not read
    if len(set(key)) < _LEAST_DIFFERENT_IN_KEY or any(word in folded(key) for word in _PLACEHOLDERS):
        yield Finding("access_key_guessable", path, "easy to guess, or a placeholder", _DRAW)
    elif len(key) < _LEAST_KEY or len(zlib.compress(key.encode(), 9)) < _LEAST_COMPRESSED:
        yield Finding("access_key_short", path, f"{len(key)} characters, too few or too alike", _DRAW)
    if not _QUERY_SAFE.fullmatch(key):
        yield Finding("access_key_characters", path, "has other characters than letters, digits, - . _ and ~", _DRAW)


def _tokens(settings: Settings) -> Iterator[Finding]:
    for index, site in enumerate(settings.site):
        for number, pixel in enumerate(site.pixel):
            length = len(pixel.access_token.get_secret_value())
            if length < _LEAST_TOKEN:
                yield Finding("token_short", f"site[{index}].pixel[{number}].access_token", f"{length} characters")

"""The keys with which an owner's own servers send events; the doctor checks whether a key is easy to guess."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr, ValidationInfo

from proxy.config.field_types import Secret

ACCEPTED = "a list of keys, each 16 to 256 visible ASCII characters (openssl rand -hex 32), env:NAME or file:PATH"
_SHAPE = re.compile(r"[!-~]{16,256}")


def _fit(key: SecretStr, info: ValidationInfo) -> SecretStr:
    text = key.get_secret_value()
    context = info.context or {}
    is_unread = not text and info.field_name in {*context.get("unused", ()), *(context.get("missing") or ())}
    if not is_unread and not _SHAPE.fullmatch(text):
        raise ValueError("empty" if not text else "too short, too long, or not of visible ASCII characters")
    return key


AccessKey = Annotated[Secret, AfterValidator(_fit)]

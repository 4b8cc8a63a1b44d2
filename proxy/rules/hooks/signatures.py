"""Who sent a webhook: its signature over the bytes as they came, before anything of them is read.

Sources: Shopify, "HTTPS webhooks", verification; WooCommerce, class ``WC_Webhook``; Stripe, "verify webhook
signatures". Any of several secrets will do, so that a new secret can be set before the old one ends. Without a secret
every signature is refused.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from html import unescape

STRIPE_TOLERANCE_S = 300
"""Seconds that a Stripe signature may be old or ahead: what Stripe's libraries allow."""
# A header that holds more signatures than this was not made by Stripe.
_MOST_PARTS = 20


def is_shopify(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Tell whether Shopify signed a body with one of the secrets.

    Args:
        body: The bytes as they came.
        signature: ``X-Shopify-Hmac-Sha256``: base64.
        secrets: The secrets, any of which may be in use.
    """
    return _is_any(signature, [_base64(body, secret) for secret in secrets if secret])


def is_woocommerce(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Tell whether WooCommerce signed a body; it decodes the HTML entities of a secret before it signs.

    Args:
        body: The bytes as they came.
        signature: ``X-WC-Webhook-Signature``: base64.
        secrets: The secrets as they were typed, any of which may be in use.
    """
    forms = dict.fromkeys(form for secret in secrets if secret for form in (secret, unescape(secret)))
    return _is_any(signature, [_base64(body, form) for form in forms])


def is_stripe(body: bytes, signature: str, secrets: Sequence[str], *, now_s: int) -> bool:
    """Tell whether Stripe signed a body with one of the secrets, and not too long ago.

    Args:
        body: The bytes as they came.
        signature: ``Stripe-Signature``: ``t=…,v1=…``, with several ``v1`` while a secret is exchanged.
        secrets: The secrets, any of which may be in use.
        now_s: Server clock in seconds.
    """
    parts = [part.strip().partition("=") for part in signature.split(",", _MOST_PARTS)[:_MOST_PARTS]]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdecimal() or len(times[0]) > 12:
        return False
    if abs(now_s - int(times[0])) > STRIPE_TOLERANCE_S:
        return False
    signed = b"%b.%b" % (times[0].encode(), body)
    expected = [hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets if secret]
    return any(_is_any(value, expected) for name, _, value in parts if name == "v1")


def _base64(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def _is_any(signature: str, expected: Sequence[str]) -> bool:
    shown = signature.strip().encode(errors="replace")
    return any(hmac.compare_digest(shown, value.encode()) for value in expected)

"""Meta's rules: numbers, names and formats that Meta fixed, each with its source. Nothing here is ours to choose.

Sources: [api] Conversions API, using the API; [events] server event parameters; [user] customer information
parameters; [cookies] fbp and fbc parameters; [practices] best practices, baseline requirements for matching; [pixel]
Meta Pixel reference, standard events; [messaging] business messaging; [sdk] Meta's Business SDKs; [builder] Meta's
parameter builder libraries; [codes] Graph API error handling, and recorded answers of live calls.
"""

import re
from collections.abc import Mapping
from datetime import date

from proxy.model.units import DAY_MS

# -- the API

VERSION_ENDS: Mapping[str, date | None] = {
    "v26.0": None,
    "v25.0": date(2028, 7, 29),
    "v24.0": date(2028, 2, 18),
    "v23.0": date(2027, 10, 8),
    "v22.0": date(2027, 5, 20),
    "v21.0": date(2027, 1, 21),
    "v20.0": date(2026, 9, 24),
    "v19.0": date(2026, 5, 21),
}
"""The day on which Meta ends a version of the Graph API, which the Conversions API follows; None: not announced yet,
and at least two years after the start of the version (Meta, Graph API changelog)."""

# -- a request

MAX_BATCH = 1000
"""The most events of one request [api]."""
MAX_AGE_MS = 7 * DAY_MS
"""Graph refuses a whole request for one event that is older (subcode 2804003) [events]."""
MAX_AGE_IN_STORE_MS = 62 * DAY_MS
"""The same for events with the action source ``physical_store`` [events]."""


def max_age_ms(action_source: str) -> int:
    """Return how old an event with this action source may be, in milliseconds."""
    return MAX_AGE_IN_STORE_MS if action_source == "physical_store" else MAX_AGE_MS


# -- an event

STANDARD_EVENTS = frozenset({
    "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate",
    "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
    "SubmitApplication", "Subscribe", "ViewContent",
})  # fmt: skip
"""Meta's standard events [pixel], and PageView, which the base code sends."""
ACTION_SOURCES = (
    *("website", "app", "email", "phone_call", "chat", "physical_store"),
    *("system_generated", "business_messaging", "other"),
)
"""Where an event may have happened [events]."""
MESSAGING_EVENTS = frozenset({
    "AddToCart", "CartAbandoned", "InitiateCheckout", "LeadSubmitted", "OrderCanceled", "OrderCreated",
    "OrderDelivered", "OrderReturned", "OrderShipped", "Purchase", "QualifiedLead", "RatingProvided", "ReviewProvided",
    "ViewContent",
})  # fmt: skip
"""Events that ``business_messaging`` may have [messaging]."""
EXTINFO = 16
"""Slots of ``app_data.extinfo``; empty ones hold an empty text [events]."""
EXTINFO_VERSIONS = ("a2", "i2")
"""What the first slot may hold: Android or iOS [events]."""
EXTINFO_SYSTEM = 4
"""The slot of the operating system's version, which may not be empty [events]."""
APPENDIX = r"\.AQ[A-Za-z0-9_-]{6}"
"""What Meta's libraries append to values that they processed: eight characters in base64 that begin with the version
number 1 [builder]."""
OLD_APPENDIX = r"\.(?:AQ|Ag|Aw|BA|BQ|Bg)"
"""What older libraries appended: only a code for their programming language [builder]."""

# -- whom it is about

REQUEST_KEYS = ("client_ip_address", "client_user_agent", "fbc", "fbp")
"""Keys of ``user_data`` whose values come from the request itself, not from what the page tells of the visitor
[user]."""
TOO_BROAD = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
"""An event with the keys of one of these sets, or fewer, is refused with subcode 2804050 [practices]."""
BUSINESS_KEYS = (
    *("whatsapp_business_account_id", "instagram_business_account_id"),
    *("partner_id", "partner_name"),
)
"""Keys of ``user_data`` that name a business; the first two [messaging], the others as Segment sends them."""
LEAD_ID = re.compile(r"[1-9][0-9]{14,16}", re.ASCII)
"""The id of a lead, 15 to 17 digits; any other fails its event (Meta, conversion leads)."""
COOKIE_SECONDS = 90 * 24 * 60 * 60
"""How long the Pixel keeps ``_fbp`` and ``_fbc`` [cookies]."""
CLICK_ID_MAX = 500
"""The most characters of a click id; the Pixel ignores longer ones (seen in the Pixel's code of 2026)."""
CLICK_ID_NEVER = "javascript"
"""The Pixel ignores a click id that contains this word (likewise)."""
COOKIE_APPENDIX = r"(?:\.(?:AQ|Ag|Aw|BA|BQ|Bg|[A-Za-z0-9_-]{8}))?"
"""An optional fifth field that Meta's libraries append to an id: the code of their programming language, or eight
characters (Meta, parameter builder)."""

# -- an answer

PAUSE_CODES = {190: "token", 102: "token", **dict.fromkeys((3, 10, *range(200, 300)), "permission")}
"""Codes after which no event of the pixel can be delivered until a person acts; the value is the reason [codes]."""
NO_OBJECT = (100, 33)
"""Code and subcode of a pixel that does not exist, or that the token may not see [codes]."""
RETRY_CODES = {
    # 21009, a dataset that is not ready for uploads, was recorded once by a third party; waiting loses nothing.
    **dict.fromkeys((1, 2, 21009), "down"),
    **dict.fromkeys((4, 17, 32, 341, 613, *range(80000, 80015)), "throttled"),
    368: "blocked",
}
"""Codes after which the request may succeed later; the value is the reason [codes]. 368 is a policy block on the
account."""
INVALID = 100
"""The code of an invalid request, whatever is wrong with it [codes]."""
CONTENT_SUBCODES = range(2804000, 2804100)
"""Subcodes that are about the content of one event [events]."""
TOO_OLD, IN_THE_FUTURE = 2804003, 2804004
"""Subcodes for an ``event_time`` that is too old, or in the future [codes]."""
NO_VALUE, NO_CURRENCY = 2804009, 2804011
"""Subcodes for a Purchase without a usable value or currency [codes]."""
NO_DEVICE = 2804043
"""Subcode for an event of an app whose ``extinfo`` lacks a version [codes]."""
LITTLE_IDENTITY = 2804050
"""Subcode for match keys that fit too many people [codes]."""
NO_MESSAGING_EVENT = 2804066
"""Subcode for an event name that ``business_messaging`` may not have [codes]."""

"""Meta's law: numbers, names and formats that Meta fixed, each with its source. Nothing here is ours to choose.

Sources: [api] Conversions API, using the API; [events] server event parameters; [user] customer information
parameters; [cookies] fbp and fbc parameters; [practices] best practices, baseline requirements for matching; [pixel]
Meta Pixel reference, standard events; [messaging] business messaging; [sdk] Meta's Business SDKs; [builder] Meta's
parameter builder libraries; [codes] Graph API error handling, and recorded answers of live calls.
"""

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
"""Until when Meta serves a version of the Graph API, which the Conversions API follows; None: not told yet, and two
years from the start of a version at least (Meta, Graph API changelog)."""

# -- a request

MAX_BATCH = 1000
"""Events of one request [api]."""
MAX_AGE_MS = 7 * DAY_MS
"""Graph refuses a whole request for one event that is older (subcode 2804003) [events]."""
MAX_AGE_IN_STORE_MS = 62 * DAY_MS
"""Likewise, for what happened in a shop of bricks [events]."""


def max_age_ms(action_source: str) -> int:
    """Return how old an event may be, by where it happened."""
    return MAX_AGE_IN_STORE_MS if action_source == "physical_store" else MAX_AGE_MS


# -- an event

STANDARD_EVENTS = frozenset({
    "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate",
    "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
    "SubmitApplication", "Subscribe", "ViewContent",
})  # fmt: skip
"""Events that Meta knows by name [pixel]; PageView is the base code's own."""
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
"""What the first of them holds: Android or iOS [events]."""
EXTINFO_SYSTEM = 4
"""The slot of the version of the system, which may not be empty [events]."""
APPENDIX = r"\.AQ[A-Za-z0-9_-]{6}"
"""By which Meta's libraries sign values they touched: eight characters that begin with the number 1 [builder]."""
OLD_APPENDIX = r"\.(?:AQ|Ag|Aw|BA|BQ|Bg)"
"""What they wrote before: their language alone [builder]."""

# -- whom it is about

REQUEST_KEYS = ("client_ip_address", "client_user_agent", "fbc", "fbp")
"""Keys of ``user_data`` that the request itself answers [user]."""
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
LEAD_ID_DIGITS = (15, 17)
"""The fewest and most digits of a lead's id; another one fails its event (Meta, conversion leads)."""
COOKIE_SECONDS = 90 * 24 * 60 * 60
"""How long the Pixel keeps ``_fbp`` and ``_fbc`` [cookies]."""
CLICK_ID_MAX = 500
"""Characters of a click id; the Pixel ignores longer ones (seen in its copies of 2026)."""
CLICK_ID_NEVER = "javascript"
"""The Pixel ignores a click id that holds this word (likewise)."""
COOKIE_APPENDIX = r"(?:\.(?:AQ|Ag|Aw|BA|BQ|Bg|[A-Za-z0-9_-]{8}))?"
"""A fifth field by which Meta's libraries sign an id: their language, or eight characters (Meta, parameter builder)."""

# -- an answer

PAUSE_CODES = {190: "token", 102: "token", **dict.fromkeys((3, 10, *range(200, 300)), "permission")}
"""Codes after which nothing of the pixel can be delivered until somebody acts [codes]."""
NO_OBJECT = (100, 33)
"""Code and subcode of a pixel that does not exist, or that the token may not see [codes]."""
RETRY_CODES = {
    # 21009, a dataset that is not ready for uploads, was recorded once by a third party; waiting loses nothing.
    **dict.fromkeys((1, 2, 21009), "down"),
    **dict.fromkeys((4, 17, 32, 341, 613, *range(80000, 80015)), "throttled"),
    368: "blocked",
}
"""Codes after which it may work later [codes]; 368 is a policy block on the account."""
INVALID = 100
"""Code of whatever is wrong with a request [codes]."""
CONTENT_SUBCODES = range(2804000, 2804100)
"""Subcodes that speak of one event's content [events]."""
TOO_OLD, IN_THE_FUTURE = 2804003, 2804004
"""Of ``event_time`` [codes]."""
NO_VALUE, NO_CURRENCY = 2804009, 2804011
"""Of a Purchase without a usable value or currency [codes]."""
NO_DEVICE = 2804043
"""Of an event of an app whose ``extinfo`` lacks a version [codes]."""
LITTLE_IDENTITY = 2804050
"""Of keys that fit too many people [codes]."""
NO_MESSAGING_EVENT = 2804066
"""Of a name that ``business_messaging`` may not have [codes]."""

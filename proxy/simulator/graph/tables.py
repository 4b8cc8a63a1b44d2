"""What Meta's pages list: limits, field types and closed sets of values, as data.

Sources: the server-event and customer-information-parameters pages; best-practices for the sets too broad to match
anyone; business-messaging for its names. `SDK_KEYS` are known from Meta's own SDKs only.
"""

import re
from collections.abc import Mapping

MAX_EVENTS = 1000
DAY = 86_400
MAX_AGE = 7 * DAY
MAX_AGE_IN_STORE = 62 * DAY
FUTURE = 60
"""Seconds an event may lie ahead. Meta documents no tolerance; one minute forgives an unsynchronised clock."""
MAX_DEPTH = 32
"""Levels of objects and lists in an event: ours, so that everything accepted can be shown again."""

ONLINE = frozenset({"app", "business_messaging", "chat", "email", "system_generated", "website"})
SOURCES = ONLINE | {"other", "phone_call", "physical_store"}

TYPES: Mapping[str, type] = {
    "event_name": str,
    "event_time": int,
    "action_source": str,
    "user_data": dict,
    "custom_data": dict,
    "app_data": dict,
    "original_event_data": dict,
    "attribution_data": dict,
    "messaging_channel": str,
    "event_id": str,
    "event_source_url": str,
    "referrer_url": str,
    "opt_out": bool,
    "data_processing_options": list,
    "data_processing_options_country": int,
    "data_processing_options_state": int,
}
ACCEPTED_VALUES: Mapping[str, str] = {
    "event_time": "Unix seconds, or ISO 8601 with an offset such as Z or +02:00",
    "event_id": "a text or a whole number",
    "opt_out": "true or false",
    "data_processing_options": 'a list such as ["LDU"]',
}
"""By field: what is accepted, in words, where the name of the type would say too little."""

LEAD_ID = re.compile(r"\d{15,17}", re.ASCII)
"""Meta's conversion-leads page: 15 to 17 digits. Many lie beyond 2^53, where JavaScript and floats round them."""

HASHED = ("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country")
NEVER_HASHED = ("client_ip_address", "client_user_agent", "fbc", "fbp")
OTHER_KEYS = ("external_id", "subscription_id", "fb_login_id", "lead_id", "anon_id", "madid", "ctwa_clid")
PAGE_KEYS = ("page_id", "page_scoped_user_id", "ig_account_id", "ig_sid")
BUSINESS_KEYS = ("whatsapp_business_account_id", "instagram_business_account_id")
SDK_KEYS = ("f5first", "f5last", "fi", "dobd", "dobm", "doby", "app_user_id")
USER_KEYS = frozenset(HASHED + NEVER_HASHED + OTHER_KEYS + PAGE_KEYS + BUSINESS_KEYS + SDK_KEYS)

APPENDIX = re.compile(r"\.(A[Qgw]|B[AQg]|[\w-]{8})$", re.ASCII)
"""Meta's parameter builder marks what it touched: eight characters, or one of its six older two-letter tokens."""
HASH = re.compile(r"[0-9a-f]{64}(\.([\w-]{2}|[\w-]{8}))?", re.ASCII)
"""SHA-256 as Meta's SDKs send it, with or without such a mark."""

TOO_BROAD = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)

ORDERS = frozenset({"OrderCreated", "OrderShipped", "OrderDelivered", "OrderCanceled", "OrderReturned"})
BUYING = frozenset({"Purchase", "InitiateCheckout", "AddToCart", "ViewContent", "CartAbandoned"})
LEADS = frozenset({"LeadSubmitted", "QualifiedLead", "RatingProvided", "ReviewProvided"})
MESSAGING = ORDERS | BUYING | LEADS

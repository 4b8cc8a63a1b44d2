"""Numbers and names that Meta fixed, each with its source."""

from proxy.model.units import DAY_MS

# Graph refuses a whole request for one event older than 7 days (2804003, Meta's server-event page).
MAX_AGE_MS = 7 * DAY_MS


MAX_BATCH = 1000


# Meta Pixel reference, standard events; PageView is the base code's own.
STANDARD_EVENTS = frozenset({
    "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate",
    "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
    "SubmitApplication", "Subscribe", "ViewContent",
})  # fmt: skip

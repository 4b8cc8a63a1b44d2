"""Is this visit a machine's? Only what a visitor says of itself is proof; what it leaves out never is."""

from functools import lru_cache

import crawleruseragents

# The longest user agent of a phone's in-app browser has some 400 characters; beyond that only cost grows.
_MAX_LENGTH = 512


def bot_reason(user_agent: str, *, webdriver: bool) -> str | None:
    """Return how the visitor is known to be a machine, or None.

    Args:
        user_agent: The header as received; "" if it was missing, which proves nothing.
        webdriver: Whether the tag saw ``navigator.webdriver`` (W3C, WebDriver).

    Returns:
        ``"webdriver"``; ``"crawler"`` for a user agent that the crawler-user-agents list knows; or None.
    """
    if webdriver:
        return "webdriver"
    return "crawler" if user_agent and _is_crawler(user_agent[:_MAX_LENGTH]) else None


# A look-up runs through some hundred patterns, and few user agents make up most visits.
@lru_cache(maxsize=4096)
def _is_crawler(user_agent: str) -> bool:
    return bool(crawleruseragents.is_crawler(user_agent))

"""Machines are known by what they say of themselves, never by what they leave out."""

import pytest

from proxy.rules.bots import bot_reason

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
DESKTOP = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"

PEOPLE = [
    "",
    DESKTOP,
    f"{MAC} Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0",
    f"{IPHONE} [FBAN/FBIOS;FBAV/450.0.0.38.108;FBBV/1;FBDV/iPhone14,2;FBMD/iPhone;FBSN/iOS;FBSV/17.0;FBOP/5]",
    f"{IPHONE} Instagram 300.0.0 (iPhone14,2; iOS 17_0; en_US; scale=3.00; 1170x2532)",
    f"{IPHONE} [Pinterest/iOS]",
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} GSA/15.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) {CHROME} Mobile Safari/537.36",
]
MACHINES = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    DESKTOP.replace("Chrome/", "HeadlessChrome/"),
    "curl/8.5.0",
    "python-requests/2.32.0",
    "WhatsApp/2.23.20.0",
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_not_machines(user_agent: str) -> None:
    """Browsers, in-app browsers and a missing header are no proof of a machine."""
    assert bot_reason(user_agent, webdriver=False) is None


@pytest.mark.parametrize("user_agent", MACHINES)
def test_crawlers_are_known_by_their_user_agent(user_agent: str) -> None:
    """A user agent that names a crawler or an HTTP client is a crawler's."""
    assert bot_reason(user_agent, webdriver=False) == "crawler"


@pytest.mark.parametrize("user_agent", ["", DESKTOP, MACHINES[0]])
def test_webdriver_decides_alone(user_agent: str) -> None:
    """A browser that says it is driven by a program is, whatever its user agent."""
    assert bot_reason(user_agent, webdriver=True) == "webdriver"


def test_only_the_beginning_of_a_user_agent_is_read() -> None:
    """What stands behind 512 characters has no say."""
    assert bot_reason("x" * 512 + "Googlebot/", webdriver=False) is None
    assert bot_reason("x" * 500 + "Googlebot/", webdriver=False) == "crawler"

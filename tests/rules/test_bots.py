"""Bots are recognised by what their headers say, never by what they leave out."""

from random import Random

import crawleruseragents
import pytest

from proxy.rules.permission.bots import bot_reason

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
CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "curl/8.5.0",
    "python-requests/2.32.0",
    "WhatsApp/2.23.20.0",
]
HEADLESS = [
    DESKTOP.replace("Chrome/", "HeadlessChrome/"),
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
    "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/22.1.0",
]

WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36"
MAC_CHROME = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {CHROME} Safari/537.36"
PHONE = f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0"
SAFARI = f"{MAC} Version/17.4 Safari/605.1.15"
IPHONE_SAFARI = f"{IPHONE.replace('Mobile', 'Version/17.0 Mobile')} Safari/604.1"
BRANDS = '"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"'
EDGE = BRANDS.replace("Google Chrome", "Microsoft Edge")
WEBVIEW = BRANDS.replace("Google Chrome", "Android WebView")

# User agent, Sec-CH-UA, Sec-CH-UA-Platform; the reason to call it a bot, or None.
HINTS = [
    # Consistent headers, or none.
    (WINDOWS, BRANDS, '"Windows"', None),
    (MAC_CHROME, BRANDS, '"macOS"', None),
    (DESKTOP, BRANDS, '"Linux"', None),
    (f"{WINDOWS} Edg/140.0.0.0", EDGE, '"Windows"', None),
    (PHONE, BRANDS, '"Android"', None),
    (PHONE.replace("; K)", "; K; wv)"), WEBVIEW, '"Android"', None),
    (WINDOWS, "", "", None),
    (WINDOWS, BRANDS, "", None),
    (WINDOWS, "", '"Windows"', None),
    (FIREFOX, "", "", None),
    (SAFARI, "", "", None),
    ("", BRANDS, '"Linux"', None),
    (WINDOWS.replace("Windows NT 10.0; Win64; x64", "X11; CrOS x86_64 14541.0.0"), BRANDS, '"Chrome OS"', None),
    # A phone asked for the desktop page, by different makers.
    (DESKTOP, BRANDS, '"Android"', None),
    (WINDOWS, WEBVIEW, '"Android"', None),
    (MAC_CHROME, BRANDS, '"Android"', None),
    # Names that are not known, or that a server in between joined, prove nothing.
    (WINDOWS, BRANDS, '"Unknown"', None),
    (WINDOWS, BRANDS, '"Linux", "Windows"', None),
    (WINDOWS, BRANDS, "Linux", None),
    ("a browser", BRANDS, '"Linux"', None),
    (WINDOWS, '"Opera";v="112"', '"Windows"', None),
    # Headless, whatever the user agent says.
    (DESKTOP, BRANDS.replace("Google Chrome", "HeadlessChrome"), '"Linux"', "headless"),
    (WINDOWS, BRANDS.replace("Google Chrome", "HeadlessChrome"), '"Windows"', "headless"),
    # Headers that name another engine or another system than the user agent.
    (FIREFOX, BRANDS, '"Windows"', "contradiction"),
    (SAFARI, BRANDS, '"macOS"', "contradiction"),
    (IPHONE_SAFARI, BRANDS, "", "contradiction"),
    (WINDOWS, BRANDS, '"Linux"', "contradiction"),
    (WINDOWS, BRANDS, '"macOS"', "contradiction"),
    (MAC_CHROME, BRANDS, '"Linux"', "contradiction"),
    (DESKTOP, BRANDS, '"Windows"', "contradiction"),
    # The list of crawlers is asked first: a crawler's name says more.
    (CRAWLERS[0], BRANDS, '"Linux"', "crawler"),
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_not_machines(user_agent: str) -> None:
    """Browsers, in-app browsers and a missing header are no proof of a machine."""
    assert bot_reason(user_agent, webdriver=False) is None


@pytest.mark.parametrize("user_agent", CRAWLERS)
def test_crawlers_are_known_by_their_user_agent(user_agent: str) -> None:
    """A user agent that names a crawler or an HTTP client is a crawler's."""
    assert bot_reason(user_agent, webdriver=False) == "crawler"


@pytest.mark.parametrize("user_agent", HEADLESS)
def test_a_browser_without_a_window_is_named_as_one(user_agent: str) -> None:
    """A headless browser gets the reason ``headless``, even if the list of crawlers has it too."""
    assert bot_reason(user_agent, webdriver=False) == "headless"


@pytest.mark.parametrize(("user_agent", "brands", "platform", "reason"), HINTS)
def test_headers_that_contradict_each_other_are_a_machines(
    user_agent: str, brands: str, platform: str, reason: str | None
) -> None:
    """Only two clear statements that contradict each other count; desktop mode, unknown and missing hints do not."""
    assert bot_reason(user_agent, webdriver=False, brands=brands, platform=platform) == reason


@pytest.mark.parametrize("user_agent", ["", DESKTOP, CRAWLERS[0], HEADLESS[0]])
def test_webdriver_decides_alone(user_agent: str) -> None:
    """A browser that says that a program drives it is a bot, whatever its user agent."""
    assert bot_reason(user_agent, webdriver=True) == "webdriver"


def test_only_the_beginning_of_a_user_agent_is_read() -> None:
    """What follows the first 512 characters is ignored."""
    assert bot_reason("x" * 512 + "Googlebot/", webdriver=False) is None
    assert bot_reason("x" * 500 + "Googlebot/", webdriver=False) == "crawler"


@pytest.mark.long
def test_the_list_means_the_same_to_another_engine() -> None:
    """RE2 gives the same answer as the list's own package, for the list's examples, people's agents and mixtures."""
    listed = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    examples = [user_agent for entry in listed for user_agent in entry.get("instances", ())]
    person_digests = [*PEOPLE, WINDOWS, MAC_CHROME, PHONE, FIREFOX, SAFARI, IPHONE_SAFARI]
    chance = Random(1)  # noqa: S311 - the same mixtures each time
    pieces = [
        piece
        for user_agent in (*examples, *person_digests, *(entry["pattern"] for entry in listed))
        for piece in user_agent.split()
    ]
    mixed = [" ".join(chance.choices(pieces, k=6)) for _ in range(1000)]
    odd = ["", "\u0663bot", "bot\u00a0x", "a\nGooglebot\n", "\ud800", "\U0001f916", "\u017fpider", "googlebot/"]

    asked = [user_agent[:512] for user_agent in (*examples, *person_digests, *mixed, *odd)]
    answers = [bot_reason(user_agent, webdriver=False) in {"crawler", "headless"} for user_agent in asked]
    expected = [crawleruseragents.is_crawler(user_agent) or _is_headless(user_agent) for user_agent in asked]

    assert len(examples) > 2000
    assert [
        user_agent for user_agent, is_bot, right in zip(asked, answers, expected, strict=True) if is_bot != right
    ] == []


def _is_headless(user_agent: str) -> bool:
    names = ("headless", "phantomjs", "slimerjs", "htmlunit", "jsdom")
    return any(name in user_agent.lower() for name in names)

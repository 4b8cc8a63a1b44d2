"""Whether a Content-Security-Policy lets the tag load, the trap run and events leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.doctor.web.csp import PagePolicy, hash_source, policies

PAGE = "https://shop.example/cart"
TAG = "https://shop.example/k7f2q9w3/m.js"
ELSEWHERE = "https://t.shop.example/k7f2q9w3/m.js"
TRAP = "window.a=1"


@pytest.mark.parametrize(
    ("policy", "nonce", "url", "allowed"),
    [
        ("", "", TAG, True),
        ("img-src 'none'", "", TAG, True),
        ("default-src 'none'", "", TAG, False),
        ("default-src 'none'; script-src 'self'", "", TAG, True),
        ("default-src 'none'; script-src 'self'; script-src-elem 'none'", "", TAG, False),
        ("script-src 'self'", "", ELSEWHERE, False),
        ("script-src *.shop.example", "", ELSEWHERE, True),
        ("script-src *.shop.example", "", TAG, False),
        ("script-src https:", "", ELSEWHERE, True),
        ("script-src http:", "", ELSEWHERE, True),
        ("script-src data:", "", ELSEWHERE, False),
        ("script-src *", "", ELSEWHERE, True),
        ("script-src 'none'", "", TAG, False),
        ("script-src", "", TAG, False),
        ("script-src 'nonce-abc123'", "abc123", TAG, True),
        ("script-src 'nonce-abc123'", "", TAG, False),
        ("script-src 'nonce-abc123'", "ABC123", TAG, False),
        ("script-src 'nonce-abc123' 'self'", "", TAG, True),
        ("script-src 'strict-dynamic' 'nonce-abc123' 'self' https:", "", TAG, False),
        ("script-src 'strict-dynamic' 'nonce-abc123'", "abc123", TAG, True),
        ("SCRIPT-SRC 'SELF'", "", TAG, True),
        ("script-src 'none'; script-src 'self'", "", TAG, False),
        ("script-src https://shop.example:443", "", TAG, True),
        ("script-src https://shop.example:8443", "", TAG, False),
        ("script-src https://shop.example:*", "", TAG, True),
        ("script-src http://shop.example", "", TAG, True),
        ("script-src https://shop.example/k7f2q9w3/", "", TAG, True),
        ("script-src https://shop.example/k7f2q9w3/m.js", "", TAG, True),
        ("script-src https://shop.example/k7f2q9w3", "", TAG, False),
        ("script-src https://shop.example/other/", "", TAG, False),
        ("script-src https://shop.example/%6b7f2q9w3/m.js", "", TAG, True),
        ("script-src notshop.example", "", TAG, False),
        ("script-src 'self' ; sandbox allow-forms", "", TAG, False),
        ("script-src 'self' ; sandbox allow-scripts", "", TAG, True),
        ("\tscript-src\n'self'\r\n", "", TAG, True),
        ("script-src ]]not a source[[", "", TAG, False),
    ],
)
def test_a_policy_allows_the_tag_as_browsers_do(policy: str, nonce: str, url: str, allowed: bool) -> None:  # noqa: FBT001
    """Source lists match as in CSP 3, with fallbacks, schemes, hosts, ports, paths, nonces and strict-dynamic."""
    assert PagePolicy.parsed(policy).allows_script(url, nonce=nonce, page=PAGE) is allowed


@pytest.mark.parametrize(
    ("policy", "nonce", "allowed"),
    [
        ("", "", True),
        ("script-src 'self'", "", False),
        ("script-src 'unsafe-inline'", "", True),
        ("script-src 'unsafe-inline' 'nonce-abc123'", "", False),
        ("script-src 'unsafe-inline' 'nonce-abc123'", "abc123", True),
        ("script-src 'unsafe-inline' 'strict-dynamic'", "", False),
        (f"script-src {hash_source(TRAP)}", "", True),
        (f"script-src 'unsafe-inline' {hash_source('other')}", "", False),
        (f"script-src 'strict-dynamic' {hash_source(TRAP)}", "", True),
        ("default-src 'unsafe-inline'", "", True),
    ],
)
def test_a_policy_allows_the_trap_as_browsers_do(policy: str, nonce: str, allowed: bool) -> None:  # noqa: FBT001
    """An inline script runs if its nonce or hash is listed; unsafe-inline counts only if neither is in the policy."""
    assert PagePolicy.parsed(policy).allows_inline(TRAP, nonce=nonce) is allowed


@pytest.mark.parametrize(
    ("policy", "connects", "shows"),
    [
        ("script-src 'none'", True, True),
        ("connect-src 'none'", False, True),
        ("default-src 'self'", True, True),
        ("default-src 'none'; connect-src 'self'", True, False),
        ("img-src data:", True, False),
    ],
)
def test_events_and_images_have_directives_of_their_own(policy: str, connects: bool, shows: bool) -> None:  # noqa: FBT001
    """connect-src and img-src count; where one is missing, default-src does."""
    parsed = PagePolicy.parsed(policy)

    assert parsed.allows_connect(TAG, page=PAGE) is connects
    assert parsed.allows_image(TAG, page=PAGE) is shows


def test_a_page_may_have_several_policies() -> None:
    """A header holds several policies, separated by commas; in a meta element, sandbox and the like do not count."""
    found = policies(["script-src 'self', img-src 'none'", "connect-src *"], ["sandbox; report-uri /x", ""])

    assert [sorted(policy.directives) for policy in found] == [["script-src"], ["img-src"], ["connect-src"]]


@given(st.text(), st.text(alphabet="'*:/.-; abcdefghn0159[]%"), st.sampled_from([TAG, ELSEWHERE, PAGE]))
def test_no_policy_is_an_error(text: str, sources: str, url: str) -> None:
    """Whatever policy text a page sends, the doctor raises no error."""
    for policy in policies([text, f"script-src {sources}"], [sources]):
        policy.allows_script(url, nonce=text[:3], page=PAGE)
        policy.allows_inline(text, nonce="")
        policy.allows_connect(url, page=PAGE)

"""Match keys are sent as Meta documents them: normalised, then hashed; doubtful values are not sent."""

import hashlib
import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rules import limits
from proxy.rules.identity.person import is_too_broad
from proxy.rules.match.keys import MatchKeys, match_keys, normalise
from proxy.rules.match.text import is_nothing

KEYS = ("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "external_id")
PARTIAL = ("f5first", "f5last", "fi", "doby", "dobm", "dobd", "app_user_id")
PLAIN = ("subscription_id", "fb_login_id", "lead_id", "anon_id", "madid", "page_id", "page_scoped_user_id")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SOME = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
MD5 = "9e107d9d372bb6826bd81d3542a419d6"
YEAR = 2026
# Digits and signs as Japanese keyboards give them.
WIDE = {ord(sign): 0xFEE0 + ord(sign) for sign in "+-0123456789"}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Meta's examples: key, value, its country, normal form, SHA-256 as printed or as computed from the printed form.
EXAMPLES = [
    ("em", "John_Smith@gmail.com", "", "john_smith@gmail.com", SOME),
    (
        "em",
        "test@example.com",
        "",
        "test@example.com",
        "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b",
    ),
    ("ph", "(650)555-1212", "US", "16505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("ph", "US (650)555-1212", "US", "16505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("ph", "+1 (616) 954-78 88", "", "16169547888", "bb2fa2e6d2cea4746530c99686d0c7886ab2019875dca2d7e9e171c0e6ada00d"),
    ("fn", "Mary", "", "mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    ("fn", "정", "", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("fn", "Valéry", "", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("fn", "Vale\u0301ry", "", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("db", "2/16/1997", "", "19970216", "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c"),
    ("country", "United States", "", "us", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ("ge", "female", "", "f", "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111"),
    ("ge", "male", "", "m", "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"),
    ("ct", "Paris", "", "paris", "1670f2e42fefa5044d59a65349e47c566009488fc57d7b4376dd5787b59e3c57"),
    ("ct", "London", "", "london", "6089854c94ca5454b76be6752c562901a985f64c9a946f62976aeab593b83161"),
    ("ct", "New York", "", "newyork", "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5"),
    ("ct", "Menlo Park", "", "menlopark", "0007a3d64c01e23d5075203c5977c14e4f7e01a3fc570686fcc50b5e1dd42685"),
    ("st", "az", "", "az", "9c0ada37bf74aeefae949fdfc90db0cf6eaf90192eff67d65887771f0585e055"),
    ("st", "ca", "", "ca", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
    ("zp", "94035", "", "94035", "1794327a4d443904421f5ca1f3d72d0a62ba2f0770d80755ec2220fc0efb052e"),
    ("zp", "M1 1AE", "UK", "m11ae", "1dc694c2070e697769fb959b50671d76cafd430d8ca191fbdd0affcaea344ac5"),
    ("zp", "75018", "FR", "75018", "8dc3075ea745609c169d1c120d3fcd1c42673d16f18b423f4374e894d34a098a"),
    ("zp", "1987", "AU", "1987", "744b93f9950fc38dad705556931ea48193b99dcb191cc9bd77097f65fbe2f0b8"),
]

# Key, value, its country, normal form.
FORMS = [
    # mail
    ("em", " John_Smith@Gmail.com ", "", "john_smith@gmail.com"),
    ("em", "\ufeffanna@x.de\u200b", "", "anna@x.de"),
    ("em", "anna\u00a0@x.de", "", None),
    ("em", "josé@exämple.com", "", "josé@exämple.com"),
    ("em", "JOSÉ@EXÄMPLE.COM", "", "josé@exämple.com"),
    ("em", "anna+news@mail.example.co.uk", "", "anna+news@mail.example.co.uk"),
    ("em", "o'neil@example.com", "", "o'neil@example.com"),
    ("em", "a@xn--bcher-kva.example", "", "a@xn--bcher-kva.example"),
    ("em", "null@null.example", "", "null@null.example"),
    ("em", "noreply@test.com", "", "noreply@test.com"),
    ("em", "100%@example.com", "", "100%@example.com"),
    ("em", "test@example", "", None),
    ("em", "test", "", None),
    ("em", "@example.com", "", None),
    ("em", "anna@x..de", "", None),
    ("em", "anna@x.de, otto@x.de", "", None),
    ("em", "Anna <anna@x.de>", "", None),
    ("em", "{{user}}@example.com", "", None),
    # phone
    ("ph", "+1 (650) 555-1212", "", "16505551212"),
    ("ph", "+1 (650) 555-1212", "DE", "16505551212"),
    ("ph", "1-650-555-1212", "US", "16505551212"),
    ("ph", "6505551212", "us", "16505551212"),
    ("ph", "16505551212", "", "16505551212"),
    ("ph", "16505551212", "DE", "16505551212"),
    ("ph", "(650)555-1212", "", None),
    ("ph", "5551212", "US", None),
    ("ph", "+44 (0)20 7946 0958", "", "442079460958"),
    ("ph", "+44 (0)20 7946 0958", "US", "442079460958"),
    ("ph", "0044 20 7946 0958", "", "442079460958"),
    ("ph", "0044 20 7946 0958", "GB", "442079460958"),
    ("ph", "0044 20 7946 0958", "US", "442079460958"),
    ("ph", "+0044 20 7946 0958", "", "442079460958"),
    ("ph", "020 7946 0958", "GB", "442079460958"),
    ("ph", "020 7946 0958", "UK", "442079460958"),
    ("ph", "011 44 20 7946 0958", "US", "442079460958"),
    ("ph", "06 12 34 56 78", "FR", "33612345678"),
    ("ph", "0151 23456789", "DE", "4915123456789"),
    ("ph", "4915123456789", "DE", "4915123456789"),
    ("ph", "4915123456789", "", "4915123456789"),
    ("ph", "Tel. +49 30 123456", "", "4930123456"),
    ("ph", "tel:+1-650-555-1212", "", "16505551212"),
    ("ph", "+49 30 123456".translate(WIDE), "", "4930123456"),
    ("ph", "+39 06 1234 5678", "", "390612345678"),
    ("ph", "06 1234 5678", "Italia", "390612345678"),
    ("ph", "98765 43210", "IN", "919876543210"),
    ("ph", "11 91234-5678", "BR", "5511912345678"),
    ("ph", "090-1234-5678", "JP", "819012345678"),
    ("ph", "8 (912) 345-67-89", "RU", "79123456789"),
    ("ph", "22 12 34 56", "NO", "4722123456"),
    ("ph", "+1 650 555 1212 ext. 12", "", "16505551212"),
    ("ph", "+1-555-123-4567 ext. 123", "", None),
    ("ph", "+44 20 7946 0958", "AQ", "442079460958"),
    ("ph", "1-800-FLOWERS", "US", None),
    ("ph", "1-800-FLOWERS", "", None),
    ("ph", "0000000000", "US", None),
    ("ph", "1234567890", "US", None),
    ("ph", "+1", "", None),
    ("ph", "+", "", None),
    ("ph", "no phone", "US", None),
    # names
    ("fn", " Mary ", "", "mary"),
    ("fn", "Mary-Jane O'Connor", "", "maryjaneoconnor"),
    ("fn", " José María ", "", "josémaría"),
    ("fn", "Anne\u2019Marie", "", "annemarie"),
    ("fn", "ÅSA", "", "åsa"),
    ("fn", "Иван", "", "иван"),
    ("fn", "محمد", "", "محمد"),
    ("ln", "O'Neil", "", "oneil"),
    ("ln", "Smith, Jr.", "", "smithjr"),
    ("ln", "van der Berg", "", "vanderberg"),
    ("ln", "Müller-Lüdenscheidt", "", "müllerlüdenscheidt"),
    ("ln", "Straße", "", "straße"),
    ("ln", "김", "", "김"),
    ("ln", "--", "", None),
    ("fn", "J.", "", "j"),
    ("fn", "Mary\tAnn", "", "maryann"),
    ("fn", "İlker", "", "i̇lker"),
    ("ln", "Ⅳ-Nguyễn", "", "ⅳnguyễn"),
    ("f5first", "Elizabeth", "", "eliza"),
    ("f5last", "O'Connor", "", "oconn"),
    ("f5last", "Li", "", "li"),
    ("fi", "Élise", "", "é"),
    # birth date
    ("db", "19970216", "", "19970216"),
    ("db", "1997-02-16", "", "19970216"),
    ("db", "1997-02-03", "", "19970203"),
    ("db", "1997/2/3", "", "19970203"),
    ("db", "02/16/1997", "", "19970216"),
    ("db", "16.02.1997", "", "19970216"),
    ("db", "16/2/1997", "", "19970216"),
    ("db", "05-05-1995", "", "19950505"),
    ("db", "05-03-1995", "", None),
    ("db", "3/4/1995", "US", None),
    ("db", "December 31, 1990", "", "19901231"),
    ("db", "31 Dec 1990", "", "19901231"),
    ("db", "31st December 1990", "", "19901231"),
    ("db", "1997-02-16T00:00:00.000Z", "", "19970216"),
    ("db", "1997年2月16日", "", "19970216"),
    ("db", "1904-02-29", "", "19040229"),
    ("db", "1997-02-29", "", None),
    ("db", "1997-16-02", "", None),
    ("db", "1899-12-31", "", None),
    ("db", "00000000", "", None),
    ("db", "16021997", "", None),
    ("db", "2/16/97", "", None),
    ("db", "970216", "", None),
    ("db", "May 1990", "", None),
    ("db", "1990", "", None),
    ("db", "10:30", "", None),
    ("db", "yesterday", "", None),
    ("db", "31.12.2026", "", "20261231"),
    ("db", "2027-01-01", "", None),
    ("db", "1 January 2999", "", None),
    ("doby", "1997", "", "1997"),
    ("doby", "2027", "", None),
    ("doby", "1899", "", None),
    ("doby", "97", "", None),
    ("dobm", "2", "", "02"),
    ("dobm", "13", "", None),
    ("dobd", "16", "", "16"),
    ("dobd", "0", "", None),
    # gender
    ("ge", "F", "", "f"),
    ("ge", "M", "", "m"),
    ("ge", "Female", "", "f"),
    ("ge", " MALE ", "", "m"),
    ("ge", "Woman", "", "f"),
    ("ge", "männlich", "", "m"),
    ("ge", "Mujer", "", "f"),
    ("ge", "other", "", None),
    ("ge", "1", "", None),
    # city
    ("ct", "San José", "", "sanjosé"),
    ("ct", "Zürich", "", "zürich"),
    ("ct", "Zu\u0308rich", "", "zürich"),
    ("ct", "Москва", "", "москва"),
    ("ct", "O'Fallon", "", "ofallon"),
    ("ct", "St. Louis", "", "stlouis"),
    ("ct", "Stratford-upon-Avon", "", "stratforduponavon"),
    ("ct", "Stanley Park 1234", "", "stanleypark1234"),
    ("ct", "東京", "", "東京"),
    ("ct", "-", "", None),
    # state
    ("st", "California", "US", "ca"),
    ("st", "California", "", "ca"),
    ("st", "CA", "US", "ca"),
    ("st", " new york ", "US", "ny"),
    ("st", "US-TX", "US", "tx"),
    ("st", "Washington", "US", "wa"),
    ("st", "Washington, D.C.", "US", "dc"),
    ("st", "Washington, D.C.", "", "dc"),
    ("st", "District of Columbia", "US", "dc"),
    ("st", "Puerto Rico", "US", "pr"),
    ("st", "West Virginia", "US", "wv"),
    ("st", "Bavaria", "US", None),
    ("st", "XX", "US", None),
    ("st", "Ontario", "CA", "on"),
    ("st", "Québec", "CA", "qc"),
    ("st", "QC", "CA", "qc"),
    ("st", "Newfoundland and Labrador", "CA", "nl"),
    ("st", "Bavaria", "DE", "bavaria"),
    ("st", "Bavaria", "", "bavaria"),
    ("st", "Montana", "BG", "montana"),
    ("st", "NSW", "AU", "nsw"),
    ("st", "Baden-Württemberg", "DE", "badenwürttemberg"),
    ("st", "?", "", None),
    # postal code
    ("zp", "94035-1234", "US", "94035"),
    ("zp", "94035 1234", "US", "94035"),
    ("zp", "940351234", "US", "94035"),
    ("zp", "94035-1234", "", "94035"),
    ("zp", "9403", "US", None),
    ("zp", "M1 1AE", "US", None),
    ("zp", "SW1A 1AA", "GB", "sw1a1aa"),
    ("zp", "sw1a1aa", "GB", "sw1a1aa"),
    ("zp", "M1 1AE", "", "m11ae"),
    ("zp", "1234 AB", "NL", "1234ab"),
    ("zp", "K1A 0B1", "CA", "k1a0b1"),
    ("zp", "01310-100", "BR", "01310100"),
    ("zp", "00-950", "PL", "00950"),
    ("zp", "01067", "DE", "01067"),
    ("zp", "100-0001".translate(WIDE), "JP", "1000001"),
    ("zp", "1", "", None),
    # country
    ("country", "US", "", "us"),
    ("country", "USA", "", "us"),
    ("country", "U.S.A.", "", "us"),
    ("country", "United States of America", "", "us"),
    ("country", "840", "", "us"),
    ("country", "U.K.", "", "gb"),
    ("country", "GB", "", "gb"),
    ("country", "Great Britain", "", "gb"),
    ("country", "England", "", "gb"),
    ("country", "Germany", "", "de"),
    ("country", "Deutschland", "", "de"),
    ("country", "España", "", "es"),
    ("country", "日本", "", "jp"),
    ("country", "Mỹ", "", "us"),
    ("country", "Türkiye", "", "tr"),
    ("country", "Turkey", "", "tr"),
    ("country", "Russia", "", "ru"),
    ("country", "South Korea", "", "kr"),
    ("country", "Côte d'Ivoire", "", "ci"),
    ("country", "Cote d'Ivoire", "", "ci"),
    ("country", "Czech Republic", "", "cz"),
    ("country", "Niger", "", "ne"),
    ("country", "Nigeria", "", "ng"),
    ("country", "ZZ", "", None),
    ("country", "Atlantis", "", None),
    # ids
    ("external_id", " User1 ", "", "user1"),
    ("external_id", " User 12345 ", "", "user12345"),
    ("external_id", "A-1_b", "", "a-1_b"),
    ("external_id", "Kunde/Ä", "", "kunde/ä"),
    ("external_id", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", "", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
    ("external_id", "0", "", None),
    ("external_id", "00000000-0000-0000-0000-000000000000", "", None),
    ("external_id", "007", "", "007"),
    ("app_user_id", "User1", "", "user1"),
]

NOTHING = ["null", "NULL", "undefined", "None", "n/a", "N/A", "NaN", "{{email}}", "a{{b}}", "%email%", "%%EMAIL%%"]
NOTHING += ["[object Object]", "[object Undefined]", "${user.email}"]

ALIASES = [
    ("email", "em", "a@b.de"),
    ("E-Mail", "em", "a@b.de"),
    ("phone", "ph", "+1 650 555 1212"),
    ("phone_number", "ph", "+1 650 555 1212"),
    ("pn", "ph", "+1 650 555 1212"),
    ("firstname", "fn", "Anna"),
    ("firstName", "fn", "Anna"),
    ("first_name", "fn", "Anna"),
    ("f_name", "fn", "Anna"),
    ("lastname", "ln", "Berg"),
    ("l_name", "ln", "Berg"),
    ("gender", "ge", "f"),
    ("gen", "ge", "f"),
    ("birthday", "db", "19970216"),
    ("bd", "db", "19970216"),
    ("dob", "db", "19970216"),
    ("city", "ct", "Bonn"),
    ("state", "st", "Texas"),
    ("zip", "zp", "53111"),
    ("postal", "zp", "53111"),
    ("postal_code", "zp", "53111"),
    ("cn", "country", "Germany"),
    ("extern_id", "external_id", "7"),
    ("externalId", "external_id", "7"),
    ("userid", "external_id", "7"),
]

BROAD = [
    (set(), True),
    ({"client_user_agent"}, True),
    ({"ge", "ct", "st", "country"}, True),
    ({"ct", "country", "st", "zp", "ge", "client_user_agent"}, True),
    ({"db", "client_user_agent"}, True),
    ({"fn", "ge"}, True),
    ({"ln", "ge"}, True),
    ({"ln"}, True),
    ({"fn", "ln"}, False),
    ({"fn", "client_user_agent"}, False),
    ({"db", "ge"}, False),
    ({"db", "zp"}, False),
    ({"em"}, False),
    ({"client_ip_address", "client_user_agent"}, False),
    ({"fbp", "client_user_agent"}, False),
    ({"fbc"}, False),
    ({"external_id"}, False),
    ({"lead_id"}, False),
    ({"unheard_of"}, True),
]

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(NOTHING))
TEXTS = [value for key, value, *_ in FORMS]
JSON = st.recursive(
    SCALARS | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*KEYS, *PARTIAL, *PLAIN, *(alias for alias, *_ in ALIASES)]) | st.text()
VALUES = st.text() | st.sampled_from(TEXTS) | st.dates().map(str) | st.emails() | st.from_regex(r"\+?[0-9 ()-]{5,16}")
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
PASSED = re.compile(r"[0-9a-f]{64}(\.[\w-]{2}|\.[\w-]{8})?|[0-9a-f]{32}")
APPENDICES = st.one_of(st.just(""), st.from_regex(r"\.([A-Za-z0-9_-]{2}|[A-Za-z0-9_-]{8})", fullmatch=True))


@pytest.mark.parametrize(("key", "value", "country", "form", "digest"), EXAMPLES)
def test_metas_worked_examples_come_out_as_printed(key: str, value: str, country: str, form: str, digest: str) -> None:
    """Each documented example, with its country in the data, gives the documented hash."""
    assert sha256(form) == digest
    assert match_keys({key: value, **({"country": country} if country else {})}).hashed[key] == [digest]


@pytest.mark.parametrize(("key", "value", "country", "form"), FORMS)
def test_each_value_has_its_documented_form_or_none(key: str, value: str, country: str, form: str | None) -> None:
    """A value is sent as the hash of its normal form; one without a normal form is left out and its key named."""
    found = match_keys({key: value, **({"country": country} if country else {})}, year=YEAR)

    assert found.hashed.get(key, [None])[0] == (form and sha256(form))
    assert (key in found.rejected) is (form is None)


@pytest.mark.parametrize(("key", "value", "country", "form"), FORMS)
def test_a_normal_form_is_its_own(key: str, value: str, country: str, form: str | None) -> None:
    """Normalising a documented form again changes nothing; only a state needs its country for that."""
    code = normalise("country", country) or ""

    assert normalise(key, value, country=code, year=YEAR) == form
    if form:
        assert normalise(key, form, country=code) == form
        assert key == "st" or normalise(key, form) == form


@given(
    st.sampled_from([key for key in (*KEYS, *PARTIAL) if key != "ph"]), VALUES, st.sampled_from(["", "us", "ca", "de"])
)
@settings(deadline=None)
def test_normalising_twice_changes_nothing(key: str, value: str, country: str) -> None:
    """A normal form is its own normal form."""
    once = normalise(key, value, country=country)

    if once is not None:
        assert normalise(key, once, country=country) == once


@given(st.sampled_from(["", *REGIONS]), VALUES)
@settings(deadline=None)
def test_a_phone_number_is_the_same_again_in_its_own_country(region: str, value: str) -> None:
    """A normalised number is read as the same again, without a country or with its own."""
    once = normalise("ph", value, country=region.lower())

    if once is not None:
        own = phonenumbers.region_code_for_number(phonenumbers.parse("+" + once)) or ""
        assert [normalise("ph", once, country=country) for country in ("", own.lower())] == [once, once]
        assert normalise("ph", "+" + once, country=region.lower()) == once


@pytest.mark.parametrize("region", REGIONS)
def test_every_numbering_plan_is_known(region: str) -> None:
    """A country's example number, written nationally or internationally, gives the same digits."""
    number = phonenumbers.example_number(region) or phonenumbers.PhoneNumber()
    digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
    written = [
        phonenumbers.format_number(number, style)
        for style in (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    ]

    assert [normalise("ph", text, country=region.lower()) for text in (*written, digits)] == [digits] * 3


@given(st.dictionaries(NAMES, JSON, max_size=6), st.text() | st.sampled_from(["", "us", "US", "Germany"]))
@settings(max_examples=300, deadline=None)
def test_no_input_crashes(raw: dict[str, object], country: str) -> None:
    """Any JSON gives match keys of the promised shape, with no raw text where hashes belong."""
    found = match_keys(raw, country=country)

    for key, digests in found.hashed.items():
        assert digests
        assert len(digests) == len(set(digests)) <= 2 * limits.VALUES
        assert all(PASSED.fullmatch(digest) for digest in digests)
        assert key in {*KEYS, *PARTIAL}
    assert all(found.plain.values())
    assert isinstance(is_too_broad({**found.hashed, **found.plain}), bool)


@given(st.text(), st.text(), st.text())
@settings(deadline=None)
def test_no_key_value_or_country_crashes_normalise(key: str, value: str, country: str) -> None:
    """An unknown key has no form, and no text or country raises an error."""
    assert key in KEYS or normalise(key, value, country=country) is None
    for key_name in KEYS:
        form = normalise(key_name, value, country=country)
        assert form is None or form.encode()


@given(st.sampled_from([*KEYS, *PARTIAL]), HEX, APPENDICES, st.booleans())
@settings(deadline=None)
def test_hashed_input_passes_unchanged(key: str, digest: str, appendix: str, upper: bool) -> None:  # noqa: FBT001
    """A SHA-256 of any case passes in lower case, with the appendix of Meta's own libraries as it is."""
    given_digest = digest.upper() if upper else digest

    assert match_keys({key: given_digest + appendix}).hashed == {key: [digest + appendix]}


@pytest.mark.parametrize("key", [*KEYS, *PARTIAL])
@pytest.mark.parametrize(
    "value",
    [
        *(EMPTY, EMPTY.upper(), EMPTY + ".AQQAAQIB"),
        *map(sha256, ["null", "undefined", "None", "N/A", "[object Object]", "0"]),
    ],
)
def test_a_hash_of_nothing_is_refused(key: str, value: str) -> None:
    """The hash of an empty text or a placeholder is refused, as it is the same for everybody."""
    assert match_keys({key: value}) == MatchKeys({}, {}, (key,))


@pytest.mark.parametrize("length", [40, 56, 96, 128])
@pytest.mark.parametrize("key", ["em", "ph", "fn", "ln", "ct", "st", "zp", "f5first"])
def test_a_digest_of_another_kind_is_no_name(key: str, length: int) -> None:
    """What looks like SHA-1 or SHA-512 is not hashed once more as if it were somebody's name."""
    assert match_keys({key: ("0a1B" * 32)[:length]}) == MatchKeys({}, {}, (key,))


def test_md5_is_no_contact_hash_but_may_be_an_id() -> None:
    """Meta documents only SHA-256 for contact data; an id of 32 hex digits passes, as in the browser Pixel."""
    found = match_keys({"em": MD5, "fn": MD5, "external_id": MD5.upper()})

    assert found == MatchKeys({"external_id": [MD5]}, {}, ("em", "fn"))


@pytest.mark.parametrize("key", [*KEYS, *PLAIN])
@pytest.mark.parametrize("value", NOTHING)
def test_placeholders_are_refused(key: str, value: str) -> None:
    """A placeholder that a template or script left unfilled is refused and its key named."""
    assert match_keys({key: f" {value} "}) == MatchKeys({}, {}, (key,))


@pytest.mark.parametrize("value", ["", "  ", "\u200b", None, [], [None, ""]])
@pytest.mark.parametrize("key", [*KEYS, *PLAIN])
def test_empty_values_are_passed_over(key: str, value: object) -> None:
    """A field nobody filled in is neither sent nor counted."""
    assert match_keys({key: value}) == MatchKeys()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [True, 1.5, {"a": 1}, [["a"]], -1, 10**40, "\ud800", "x" * 600])
def test_values_of_no_use_are_named(key: str, value: object) -> None:
    """Other JSON types, broken text and very long text are refused, and the key is named."""
    assert match_keys({key: value}) == MatchKeys({}, {}, (key,))


@pytest.mark.parametrize(("alias", "key", "value"), ALIASES)
def test_the_pixels_other_names_are_understood(alias: str, key: str, value: str) -> None:
    """A key may have any name the browser Pixel takes, in any case."""
    assert match_keys({alias: value}).hashed == match_keys({key: value}).hashed
    assert list(match_keys({alias.upper(): value}).hashed) == [key]


def test_numbers_count_where_text_of_digits_does() -> None:
    """A number in place of digits in quotes is used; as a name, mail address or gender it is refused."""
    raw: dict[str, object] = {
        "ph": 16505551212,
        "zp": 94035,
        "external_id": 7,
        "db": 19970216,
        "fn": 7,
        "em": 7,
        "ge": 1,
    }
    found = match_keys(raw)

    assert {key: digests[0] for key, digests in found.hashed.items()} == {
        "ph": sha256("16505551212"),
        "db": sha256("19970216"),
        "zp": sha256("94035"),
        "external_id": sha256("7"),
    }
    assert set(found.rejected) == {"fn", "em", "ge"}


def test_lists_keep_order_without_repeats() -> None:
    """Each of several values is hashed; equal ones are sent once, and a key with unusable ones is named once."""
    found = match_keys({"email": ["B@x.de", " b@X.de", "nobody", sha256("a@x.de")], "fn": ["Anna", None, ""]})

    assert found == MatchKeys({"em": [sha256("b@x.de"), sha256("a@x.de")], "fn": [sha256("anna")]}, {}, ("em",))


def test_a_key_under_two_names_has_the_values_of_both() -> None:
    """The values under a canonical name and under its alias are put together."""
    assert match_keys({"em": "a@x.de", "email": "b@x.de"}).hashed == {"em": [sha256("a@x.de"), sha256("b@x.de")]}


def test_only_so_many_values_are_read() -> None:
    """At most ``limits.VALUES`` values of a key are read, and a key that has more is named as cut."""
    found = match_keys({"em": [f"a{i}@x.de" for i in range(1000)], "ln": ["a", "b"], "LastName": ["c", "d", "e"]})

    assert (len(found.hashed["em"]), len(found.hashed["ln"]), found.cut) == (limits.VALUES, limits.VALUES, ("em", "ln"))


@pytest.mark.parametrize("value", ["x" * 201, "é" * 20, "a\u0001b"])
def test_an_id_in_the_clear_is_short_and_plain(value: str) -> None:
    """An id that Meta takes unhashed has at most 200 printable ASCII characters; any other is left out and named."""
    assert match_keys({"subscription_id": value, "anon_id": "x" * 200}) == MatchKeys(
        {}, {"anon_id": "x" * 200}, ("subscription_id",)
    )


@pytest.mark.parametrize(
    ("city", "forms"),
    [
        ("Zürich", ["zürich", "zurich"]),
        ("Zurich", ["zurich"]),
        ("San José", ["sanjosé", "sanjose"]),
        ("Łódź", ["łódź", "lodz"]),
        ("Gießen", ["gießen", "giessen"]),
        ("København", ["københavn", "kobenhavn"]),
        ("Москва", ["москва"]),
        ("Йошкар-Ола", ["йошкарола"]),
        ("서울", ["서울"]),
    ],
)
def test_a_city_with_accents_is_sent_in_both_spellings(city: str, forms: list[str]) -> None:
    """The documented form comes first, then the ASCII form if it differs."""
    assert match_keys({"ct": city}).hashed == {"ct": [sha256(form) for form in forms]}


@pytest.mark.parametrize(
    ("data", "default", "form"),
    [
        ({}, "us", "16505551212"),
        ({}, "US", "16505551212"),
        ({}, "", None),
        ({}, "nowhere", None),
        ({"country": "United States"}, "de", "16505551212"),
        ({"country": ["", "null", "us"]}, "de", "16505551212"),
        ({"country": sha256("us")}, "de", "16505551212"),
        ({"cn": sha256("us").upper() + ".AQQAAQIB"}, "de", "16505551212"),
        ({"country": "null"}, "us", "16505551212"),
        ({"country": ""}, "us", "16505551212"),
        ({"country": "Atlantis"}, "us", None),
        ({"country": sha256("?")}, "us", None),
    ],
)
def test_the_datas_own_country_wins_over_the_default(data: dict[str, object], default: str, form: str | None) -> None:
    """The default country counts only if the data names none, not if the data names one that is not understood."""
    found = match_keys({"ph": "(650) 555-1212", **data}, country=default)

    assert found.hashed.get("ph") == (form and [sha256(form)])
    assert ("ph" in found.rejected) is (form is None)


def test_a_default_country_is_no_match_key() -> None:
    """The site's country helps to read a number, but is not sent as the visitor's."""
    assert "country" not in match_keys({"ph": "(650) 555-1212"}, country="us").hashed


@pytest.mark.parametrize(
    ("key", "value", "plain"),
    [
        ("subscription_id", " Sub-1 ", "Sub-1"),
        ("subscription_id", 17, "17"),
        ("subscription_id", ["", "a", "b"], "a"),
        ("lead_id", "525645896321548", 525645896321548),
        ("lead_id", 525645896321548, 525645896321548),
        ("fb_login_id", "17", 17),
        ("fb_login_id", "l:17", None),
        ("lead_id", "99007199254740993", 99007199254740993),
        ("lead_id", 99007199254740993, None),
        ("lead_id", "9" * 30, None),
        ("lead_id", "9" * 18, None),
        ("lead_id", "9" * 10_000, None),
        ("lead_id", "\uff15" * 15, None),
        ("lead_id", -525645896321548, None),
        ("lead_id", 5.25645896321548e14, None),
        ("lead_id", True, None),
        ("lead_id", "12345678901234", None),
        ("lead_id", "012345678901234", None),
        ("fb_login_id", 2**53, None),
        ("madid", "38400000-8CF0-11bd-b23e-10b96e40000d", "38400000-8CF0-11bd-b23e-10b96e40000d"),
        ("madid", "00000000-0000-0000-0000-000000000000", None),
        ("anon_id", "XZ0", "XZ0"),
        ("page_id", "314159", "314159"),
        ("page_scoped_user_id", "PSID", "PSID"),
        ("ctwa_clid", "AfE_x", "AfE_x"),
        ("ig_account_id", "1", "1"),
        ("ig_sid", "2", "2"),
        ("subscription_id", "anna@x.de", None),
        ("subscription_id", {"id": 1}, None),
    ],
)
def test_ids_meta_wants_in_the_clear_stay_as_they_are(key: str, value: object, plain: str | int | None) -> None:
    """Ids are trimmed and get the type Meta expects; what Meta refuses, or JavaScript has rounded, is no id."""
    assert match_keys({key: value}) == MatchKeys({}, {key: plain} if plain else {}, () if plain else (key,))


def test_unknown_keys_and_those_of_the_request_are_passed_over() -> None:
    """A key that Meta does not know, or that only the request itself may set, is neither sent nor named."""
    raw = {
        "client_ip_address": "1.2.3.4",
        "client_user_agent": "x",
        "fbc": "fb.1.1.x",
        "fbp": "fb.1.1.1",
        "ssn": "078-05",
    }

    assert match_keys(raw) == MatchKeys()


@pytest.mark.parametrize(("keys", "refused"), BROAD)
def test_keys_that_fit_too_many_people_are_too_little(keys: set[str], refused: bool) -> None:  # noqa: FBT001
    """One of Meta's four documented sets, or part of one, is refused; one more key makes it enough."""
    assert is_too_broad(dict.fromkeys(keys, "x")) is refused


def test_a_key_without_a_value_lifts_nothing() -> None:
    """Empty values do not count as match keys."""
    assert is_too_broad({"em": [], "fbp": "", "ph": None, "client_user_agent": "x"})


WORDS_OF_NOTHING = ("", "null", "undefined", "none", "n/a", "nan", "[object object]")
UNFILLED = re.compile(
    rf"(?a:\A(?:{'|'.join(map(re.escape, WORDS_OF_NOTHING))})\Z)|\{{\{{|\$\{{|\[object \w+\]|\A%.*%$",
    re.IGNORECASE | re.DOTALL,
)
PIECES = st.sampled_from(
    [*WORDS_OF_NOTHING, "NULL", "Nan", "[object Ünd]", "{{", "{", "${", "%", "\n", "\u212a", "x", "\u0131"]
)


@given(st.one_of(st.lists(PIECES, max_size=4).map("".join), st.text(max_size=20)))
@settings(max_examples=1000)
def test_nothing_is_what_one_pattern_finds(value: str) -> None:
    """The quick check of words and marks agrees with one pattern for all placeholders."""
    assert is_nothing(value) is (UNFILLED.search(value) is not None)

"""Contact data, cookies and secrets that are planted in a run, and must be found nowhere after it."""

from functools import partial
from hashlib import sha256

from support import PIXEL, SECRET, TOKEN
from traces import sought

ACCESS_KEY, TRIED_KEY = "access-key-of-the-shop-KEEP-OUT", "access-key-somebody-tried-KEEP-OUT"
APP_SECRET, PASSWORD, OTHER_TOKEN = "app-secret-KEEP-OUT", "operator-password-KEEP-OUT", "stale-token-KEEP-OUT"
EMAIL, PHONE, NAME, SURNAME = "anna.planted@mail.example", "+493012345678", "Annaplanted", "Quirkplanted"
CUSTOMER, CITY, SESSION = "customer-planted-77", "Plantedville", "session-cookie-KEEP-OUT"
ADDRESS, ADDRESS_6, FORGED = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "198.51.100.77"
FBP, FBC = "fb.1.1700000000000.8877665544", "fb.1.1700000000001.ClickPlanted"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) PlantedBrowser/7.7"
PLANTED = {
    "mail address": EMAIL,
    "phone number": PHONE,
    "its digits": PHONE.removeprefix("+"),
    "first name": NAME,
    "surname": SURNAME,
    "city": CITY,
    "customer number": CUSTOMER,
    "client address": ADDRESS,
    "IPv6 address": ADDRESS_6,
    "forged address": FORGED,
    "user agent": "PlantedBrowser",
    "fbp": FBP.rpartition(".")[2],
    "click id": "ClickPlanted",
    "session cookie": SESSION,
    "token": TOKEN,
    "a token in an address": OTHER_TOKEN,
    "app secret": APP_SECRET,
    "access key": ACCESS_KEY,
    "wrong access key": TRIED_KEY,
    "secret": SECRET,
    "operator's password": PASSWORD,
    **{
        f"hash of {text}": sha256(text.encode()).hexdigest()
        for text in (EMAIL, PHONE.removeprefix("+"), NAME.lower(), SURNAME.lower(), CITY.lower(), CUSTOMER)
    },
}
MATCH = {PIXEL: {"em": EMAIL, "ph": PHONE, "fn": NAME, "ln": SURNAME, "ct": CITY, "external_id": CUSTOMER}}

found_in = partial(sought, PLANTED)

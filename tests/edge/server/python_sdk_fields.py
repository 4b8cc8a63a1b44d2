"""A value for every field of Meta's Python SDK; ``unsent`` finds fields and classes that a newer SDK adds."""

import enum
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from facebook_business.adobjects import serverside
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.attribution_method import AttributionMethod
from facebook_business.adobjects.serverside.attribution_model import AttributionModel
from facebook_business.adobjects.serverside.attribution_setting import AttributionSetting
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.decline_reason import DeclineReason
from facebook_business.adobjects.serverside.delivery_category import DeliveryCategory
from facebook_business.adobjects.serverside.gender import Gender
from facebook_business.adobjects.serverside.messaging_channel import MessagingChannel

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
Values = Mapping[str, Any]

ONE_PERSON: Values = {
    "email": "nora.example@shop.example",
    "phone": "+49 30 901820",
    "gender": Gender.FEMALE,
    "date_of_birth": "19900102",
    "last_name": "Beispiel",
    "first_name": "Nora",
    "city": "Bad Homburg",
    "state": "he",
    "country_code": "de",
    "zip_code": "61348",
    "external_id": "customer-4711",
}
"""The SDK's names for single values; they set the same fields as the lists below."""
PERSON: Values = {
    "emails": ["nora.example@shop.example", "n.other@shop.example"],
    "phones": ["+49 30 901820", "0043 1 5880000"],
    "genders": [Gender.FEMALE, Gender.MALE],
    "dates_of_birth": ["19900102", "1990-02-01"],
    "last_names": ["Beispiel", "Müller-Weiß"],
    "first_names": ["Nora", "Élodie"],
    "cities": ["Bad Homburg", "Zürich"],
    "states": ["he", "zh"],
    "country_codes": ["de", "ch"],
    "zip_codes": ["61348", "8001"],
    "external_ids": ["customer-4711", "4711"],
    "client_ip_address": "93.184.216.34",
    "client_user_agent": AGENT,
    "fbc": "fb.1.1700000000000.AbCdEf",
    "fbp": "fb.1.1700000000000.1116446470",
    "subscription_id": "sub-77",
    "fb_login_id": "2847561",
    "lead_id": "2847561037465123",
    "f5first": "noran",
    "f5last": "beispiel",
    "fi": "n",
    "dobd": "2",
    "dobm": "01",
    "doby": "1990",
    "madid": "38400000-8cf0-11bd-b23e-10b96e40000d",
    "anon_id": "XZ8f2b1c-77",
    "ctwa_clid": "ARAkLkA8rmlFeiCktEJQ-QTwRiyYHAFDLMNDBH0CD3qpjd0HR4irJ6LEkR7JwFF4XvnO2E4Nx0",
    "page_id": "104857600000001",
}
CONTENT: Values = {
    "product_id": "sku-1",
    "quantity": 2,
    "item_price": 9.75,
    "title": "Mug",
    "description": "A large mug",
    "brand": "Töpferei",
    "category": "Kitchen > Mugs",
    "delivery_category": DeliveryCategory.CURBSIDE,
}
DATA: Values = {
    "value": 129.5,
    "net_revenue": 99.25,
    "currency": "eur",
    "content_name": "Mugs",
    "content_category": "Kitchen",
    "content_ids": ["sku-1", "sku-2"],
    "contents": [Content(**CONTENT), Content(product_id="sku-2", quantity=1, item_price=110)],
    "content_type": "product",
    "predicted_ltv": 400.0,
    "num_items": 3,
    "status": "registered",
    "search_string": "large mugs",
    "delivery_category": DeliveryCategory.HOME_DELIVERY,
    "item_number": "item-9",
    "custom_properties": {"coupon": "WELCOME10", "steps": [1, {"deep": True}], "share": 0.25, "big": 2**53 + 1},
}
DEVICE: Values = {
    "ext_info_version": "a2",
    "app_package_name": "com.shop.example",
    "short_version": "1.2",
    "long_version": "1.2.3",
    "os_version": "13.4.1",
    "device_model_name": "Pixel 7",
    "locale": "en_US",
    "timezone_abbreviation": "CEST",
    "carrier": "Telefonica",
    "screen_width": 1080,
    "screen_height": 2400,
    "screen_density": "2.75",
    "cpu_core_count": 8,
    "total_disk_space_gb": 128,
    "free_disk_space_gb": 64,
    "device_time_zone": "Europe/Berlin",
}
APP: Values = {
    "application_tracking_enabled": True,
    "advertiser_tracking_enabled": False,
    "campaign_ids": "23849000000",
    "consider_views": True,
    "include_dwell_data": False,
    "include_video_data": True,
    "install_referrer": "utm_source=spring",
    "installer_package": "com.android.vending",
    "receipt_data": "MIISbwYJKoZIhvcNAQcCoIISYDCCElwCAQExCzAJ",
    "url_schemes": ["shop", "shop-beta"],
    "windows_attribution_id": "win-77",
}
ORIGINAL: Values = {"event_name": "Purchase", "order_id": "1001-7", "event_id": "first-77"}
ATTRIBUTION: Values = {
    "scope": "click",
    "ad_id": "23849000001",
    "adset_id": "23849000002",
    "campaign_id": "23849000003",
    "attribution_share": 0.5,
    "attribution_model": AttributionModel.LINEAR.value,
    "attr_window": 7,
    "attribution_value": 64.75,
    "attribution_source": "MMP",
    "touchpoint_type": "click",
    "auditing_token": "audit-7f3a",
    "linkage_key": "link-7f3a",
    "touchpoint_id": "touch-77",
    "attribution_setting": AttributionSetting(inactivity_window_hours=24, reattribution_window_hours=0),
    "total_credit": 1.0,
    "partner_client_id": "workspace-7",
}
# The SDK takes these only as enumeration members, which its own JSON writer then refuses.
UNWRITABLE: Values = {
    "attribution_method": AttributionMethod.DEEPLINK.value,
    "decline_reason": DeclineReason.DUPLICATED.value,
}
FIELDS: Values = {
    "test_event_code": "TEST77",
    "namespace_id": "104857600000002",
    "upload_id": "upload-77",
    "upload_tag": "tag-7",
    "upload_source": "till",
    "partner_agent": "shop-7",
}
# Constructor arguments that cannot be read back from an object; the ways to send use them.
_OF_WAYS = {"pixel_id", "http_client", "access_token", "appsecret"}
_ENUMS = (ActionSource, AttributionMethod, AttributionModel, DeclineReason, DeliveryCategory, Gender, MessagingChannel)
# Classes that send, or that the SDK uses itself; the cases use those that programs call.
_OTHERS = {"BatchProcessor", "EventResponse", "HttpMethod", "HttpServiceInterface", "Normalize", "Preference"} | {
    "RequestOptions",
    "Util",
}


def unsent(samples: Iterable[Any]) -> list[str]:
    """Return the fields and classes of the SDK that the samples do not use, as a later version may add."""
    found: dict[type, list[Any]] = {}
    for sample in samples:
        _collect(sample, found)
    missing = [
        f"{owner.__name__}.{name}"
        for owner, objects in found.items()
        for name in sorted(_fields(owner) - _OF_WAYS)
        if all(getattr(each, name, None) is None for each in objects)
    ]
    known = {*_OTHERS, *(owner.__name__ for owner in (*found, *_ENUMS))}
    return missing + [name for name in _classes() if name not in known]


def _collect(sample: Any, found: dict[type, list[Any]]) -> None:
    """Add a sample and all objects in it to ``found``, by class."""
    if isinstance(sample, list):
        for member in sample:
            _collect(member, found)
    elif type(sample).__module__.startswith(serverside.__name__) and not isinstance(sample, enum.Enum):
        found.setdefault(type(sample), []).append(sample)
        for name in _fields(type(sample)):
            _collect(getattr(sample, name, None), found)


def _fields(owner: type) -> set[str]:
    """Return the names of all fields of a class: constructor parameters, properties and its ``param_types``."""
    setters = {name for name, member in inspect.getmembers(owner) if isinstance(member, property) and member.fset}
    return setters | set(inspect.signature(owner).parameters) | set(getattr(owner, "param_types", ()))


def _classes() -> Iterator[str]:
    for module in pkgutil.iter_modules(serverside.__path__):
        name = f"{serverside.__name__}.{module.name}"
        for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if member.__module__ == name:
                yield member.__name__

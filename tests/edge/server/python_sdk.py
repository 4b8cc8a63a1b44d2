"""Meta's Python SDK, unmodified, as a program of its own: sends cases to a host, and prints how each was answered.

Arguments: the host with its path, the access token, the pixel, a mark that all event ids begin with, the time in
seconds, and names of cases; none means all that are good.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.app_data import AppData
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.delivery_category import DeliveryCategory
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.event_request_async import EventRequestAsync
from facebook_business.adobjects.serverside.extended_device_info import ExtendedDeviceInfo
from facebook_business.adobjects.serverside.gender import Gender
from facebook_business.adobjects.serverside.original_event_data import OriginalEventData
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

BASE, TOKEN, PIXEL, MARK, AT, *NAMES = sys.argv[1:]
NOW = int(AT)
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


def person(**more: Any) -> UserData:
    return UserData(email="nora.example@shop.example", client_user_agent=AGENT, **more)


def whole_person() -> UserData:
    return UserData(
        emails=["nora.example@shop.example", "n.other@shop.example"],
        phones=["+49 30 901820"],
        first_names=["Nora"],
        last_names=["Beispiel"],
        cities=["Bremen"],
        states=["hb"],
        zip_codes=["28195"],
        country_codes=["de"],
        dates_of_birth=["19900102"],
        genders=[Gender.FEMALE],
        external_ids=["customer-4711"],
        client_ip_address="93.184.216.34",
        client_user_agent=AGENT,
        fbc="fb.1.1700000000000.AbCdEf",
        fbp="fb.1.1700000000000.1116446470",
        fb_login_id="2847561",
        lead_id=2847561037465123,
        subscription_id="sub-77",
        f5first="nora",
        f5last="beisp",
        fi="n",
        dobd="02",
        dobm="01",
        doby="1990",
    )


def money(**more: Any) -> CustomData:
    return CustomData(value=129.5, currency="eur", **more)


def event(name: str, **more: Any) -> Event:
    settings = {
        "event_name": "Purchase",
        "event_time": NOW - 60,
        "event_id": f"{MARK}{name}",
        "event_source_url": "https://shop.example/thank-you",
        "action_source": ActionSource.WEBSITE,
        "user_data": person(),
        "custom_data": money(),
    }
    return Event(**{**settings, **more})


def goods() -> CustomData:
    item = Content(
        product_id="sku-1", quantity=2, item_price=9.75, title="Mug", delivery_category=DeliveryCategory.HOME_DELIVERY
    )
    return money(
        content_name="Mugs",
        content_category="Kitchen",
        content_ids=["sku-1", "sku-2"],
        contents=[item, Content(product_id="sku-2", quantity=1, item_price=110.0)],
        content_type="product",
        order_id="1001-7",
        predicted_ltv=400.0,
        num_items=3,
        delivery_category=DeliveryCategory.HOME_DELIVERY,
        custom_properties={"coupon": "WELCOME10"},
    )


def phone() -> AppData:
    device = ExtendedDeviceInfo(
        ext_info_version="a2", app_package_name="com.shop.example", short_version="1.2", long_version="1.2.3"
    )
    device.os_version, device.device_model_name, device.locale = "13.4.1", "Pixel 7", "en_US"
    return AppData(application_tracking_enabled=True, advertiser_tracking_enabled=True, extinfo=device)


GOOD: dict[str, Callable[[], Event]] = {
    "plain": lambda: event("plain"),
    "whole-person": lambda: event("whole-person", user_data=whole_person()),
    "goods": lambda: event("goods", custom_data=goods()),
    "opted-out": lambda: event("opted-out", opt_out=True),
    "limited": lambda: event(
        "limited",
        data_processing_options=["LDU"],
        data_processing_options_country=1,
        data_processing_options_state=1000,
    ),
    "app": lambda: event("app", action_source=ActionSource.APP, app_data=phone(), event_source_url=None),
    "till": lambda: event("till", action_source=ActionSource.PHYSICAL_STORE, event_source_url=None),
    "call": lambda: event("call", event_name="Lead", action_source=ActionSource.PHONE_CALL, event_source_url=None),
    "chat": lambda: event("chat", event_name="Contact", action_source=ActionSource.CHAT, event_source_url=None),
    "mail": lambda: event("mail", event_name="Subscribe", action_source=ActionSource.EMAIL, event_source_url=None),
    "other": lambda: event("other", event_name="Qualified", action_source=ActionSource.OTHER, event_source_url=None),
    "crm": lambda: event(
        "crm",
        event_name="Converted",
        action_source=ActionSource.SYSTEM_GENERATED,
        event_source_url=None,
        user_data=UserData(lead_id=2847561037465123),
        custom_data=CustomData(custom_properties={"event_source": "crm", "lead_event_source": "Nice CRM"}),
    ),
    "confirmed": lambda: event(
        "confirmed",
        original_event_data=OriginalEventData(event_name="Purchase", event_time=NOW - 120, order_id="1001-7"),
    ),
    "custom": lambda: event("custom", event_name="Größe gewählt", custom_data=CustomData(custom_properties={"x": 1})),
}
BAD: dict[str, Callable[[], list[Event]]] = {
    "too-old": lambda: [event("too-old", event_time=NOW - 30 * 86_400)],
    "future": lambda: [event("future", event_time=NOW + 86_400)],
    "no-value": lambda: [event("no-value", custom_data=CustomData(currency="eur"))],
    "too-broad": lambda: [event("too-broad", user_data=UserData(country_code="de", client_user_agent=AGENT))],
    "second-is-bad": lambda: [event("first"), event("second", event_time=NOW - 30 * 86_400)],
    "nothing": list,
    "too-many": lambda: [event(f"many-{number}") for number in range(1001)],
}


def sent(name: str) -> dict[str, Any]:
    """Send a case, and return what its caller sees."""
    events = BAD[name]() if name in BAD else [GOOD[name]()]
    request = EventRequest(pixel_id=PIXEL, events=events)
    if name == "goods":
        request.partner_agent, request.upload_tag, request.test_event_code = "shop-7", "tag-7", "TEST77"
    try:
        answer = request.execute()
    except FacebookRequestError as error:
        return {
            "status": error.http_status(),
            "code": error.api_error_code(),
            "subcode": error.api_error_subcode(),
            "type": error.api_error_type(),
            "message": error.api_error_message(),
            "blame": error.api_blame_field_specs(),
            "is_transient": error.api_transient_error(),
            "shows_token": TOKEN in str(error),
        }
    return {"received": answer.events_received, "messages": answer.messages, "trace": answer.fbtrace_id}


async def sent_later() -> dict[str, Any]:
    """Send the plain case by the asynchronous class, which has no setting for the host but the session's."""
    request = EventRequestAsync(pixel_id=PIXEL, events=[event("async")])
    answer = await request.execute()
    return {"received": answer.events_received, "messages": answer.messages, "trace": answer.fbtrace_id}


FacebookSession.GRAPH = BASE
FacebookAdsApi.init(access_token=TOKEN, crash_log=False)
answers = {name: sent(name) for name in NAMES or GOOD}
if not NAMES:
    answers["async"] = asyncio.run(sent_later())
sys.stdout.write(json.dumps(answers))

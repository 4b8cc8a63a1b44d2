"""Events as programs make them with Meta's Python SDK: with all fields, with single fields, and with each enum word."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.app_data import AppData
from facebook_business.adobjects.serverside.attribution_data import AttributionData
from facebook_business.adobjects.serverside.attribution_method import AttributionMethod
from facebook_business.adobjects.serverside.attribution_model import AttributionModel
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.decline_reason import DeclineReason
from facebook_business.adobjects.serverside.delivery_category import DeliveryCategory
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.extended_device_info import ExtendedDeviceInfo
from facebook_business.adobjects.serverside.gender import Gender
from facebook_business.adobjects.serverside.messaging_channel import MessagingChannel
from facebook_business.adobjects.serverside.original_event_data import OriginalEventData
from facebook_business.adobjects.serverside.preference import Preference
from facebook_business.adobjects.serverside.user_data import UserData
from python_sdk_fields import (
    AGENT,
    APP,
    ATTRIBUTION,
    CONTENT,
    DATA,
    DEVICE,
    ONE_PERSON,
    ORIGINAL,
    PERSON,
    UNWRITABLE,
)

NAMES = (
    *("AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate"),
    *("FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial"),
    *("SubmitApplication", "Subscribe", "ViewContent", "Größe gewählt"),
)
MESSAGES = (
    *("AddToCart", "CartAbandoned", "InitiateCheckout", "LeadSubmitted", "OrderCanceled", "OrderCreated"),
    *("OrderDelivered", "OrderReturned", "OrderShipped", "Purchase", "QualifiedLead", "RatingProvided"),
    *("ReviewProvided", "ViewContent"),
)


class Events:
    """Makes events whose ids and order ids begin with a mark."""

    def __init__(self, mark: str, now: int) -> None:
        self._mark, self._now, self._numbers = mark, now, count()

    def plain(self, name: str = "Purchase", **more: Any) -> Event:
        """Return a website event with the fields that Meta requires; keyword arguments add fields or replace them."""
        settings = {
            "event_name": name,
            "event_time": self._now - 60,
            "event_id": f"{self._mark}{next(self._numbers)}",
            "event_source_url": "https://shop.example/thank-you",
            "action_source": ActionSource.WEBSITE,
            "user_data": UserData(email="nora.example@shop.example", client_user_agent=AGENT),
            "custom_data": CustomData(value=129.5, currency="eur"),
        }
        return Event(**{**settings, **more})

    def app_data(self) -> AppData:
        """Return app data with every field."""
        return AppData(**APP, extinfo=ExtendedDeviceInfo(**DEVICE))

    def whole(self, source: ActionSource = ActionSource.WEBSITE, person: UserData | None = None) -> Event:
        """Return an event with every field."""
        number = next(self._numbers)
        attribution = AttributionData(**ATTRIBUTION, visit_time=self._now - 9000, touchpoint_ts=self._now - 8000)
        for name, value in UNWRITABLE.items():
            setattr(attribution, f"_{name}", value)
        return self.plain(
            action_source=source,
            event_id=f"{self._mark}whole-{number}",
            referrer_url="https://search.example/mugs",
            opt_out=True,
            user_data=person or UserData(**PERSON),
            custom_data=CustomData(**DATA, order_id=f"{self._mark}order-{number}"),
            app_data=self.app_data(),
            data_processing_options=["LDU"],
            data_processing_options_country=1,
            data_processing_options_state=1000,
            advanced_measurement_table="table-7",
            messaging_channel=MessagingChannel.WHATSAPP,
            original_event_data=OriginalEventData(**ORIGINAL, event_time=self._now - 120),
            attribution_data=attribution,
        )

    def one_person(self) -> Event:
        """Return an event whose person is set by the SDK's fields for single values."""
        return self.whole(person=UserData(**ONE_PERSON))

    def sources(self) -> Iterator[Event]:
        """Yield an event of every name from every action source, with the fields that the source requires."""
        for source in ActionSource:
            person = UserData(email="nora.example@shop.example", client_user_agent=AGENT)
            more: dict[str, Any] = {"event_source_url": None} if source is not ActionSource.WEBSITE else {}
            if source is ActionSource.APP:
                more["app_data"] = self.app_data()
            if source is ActionSource.BUSINESS_MESSAGING:
                person = UserData(ctwa_clid=PERSON["ctwa_clid"], page_id=PERSON["page_id"])
                more["messaging_channel"] = MessagingChannel.WHATSAPP
            for name in MESSAGES if source is ActionSource.BUSINESS_MESSAGING else NAMES:
                yield self.plain(name, action_source=source, user_data=person, **more)

    def alone(self) -> Iterator[Event]:
        """Yield for each field of each object an event with this field and little more than Meta requires."""
        for values in (PERSON, ONE_PERSON):
            for name, value in values.items():
                person: dict[str, Any] = {"fbp": "fb.1.1700000000000.77", "client_user_agent": AGENT, name: value}
                yield self.plain("Lead", user_data=UserData(**person))
        for name, value in DATA.items():
            yield self.plain("Lead", custom_data=CustomData(**{name: value}))
        for name, value in CONTENT.items():
            item = Content(**{"product_id": "sku-1", name: value})
            yield self.plain("AddToCart", custom_data=CustomData(contents=[item]))
        for name, value in APP.items():
            yield self.plain("Lead", app_data=AppData(**{name: value}))
        for name, value in DEVICE.items():
            device = {"ext_info_version": "i2", "os_version": "17.5", name: value}
            app_data = AppData(extinfo=ExtendedDeviceInfo(**device))
            yield self.plain("Lead", action_source=ActionSource.APP, app_data=app_data)
        for name, value in ORIGINAL.items():
            yield self.plain(original_event_data=OriginalEventData(**{name: value}))
        for name, value in ATTRIBUTION.items():
            yield self.plain("Lead", attribution_data=AttributionData(**{name: value}))

    def words(self) -> Iterator[Event]:
        """Yield an event for each member of each enumeration."""
        for category in DeliveryCategory:
            item = Content(product_id="sku-1", delivery_category=category)
            yield self.plain("Lead", custom_data=CustomData(contents=[item], delivery_category=category))
        for gender in Gender:
            yield self.plain("Lead", user_data=UserData(**{**ONE_PERSON, "gender": gender}))
        for channel in MessagingChannel:
            person = UserData(ctwa_clid=PERSON["ctwa_clid"], page_id=PERSON["page_id"])
            source = ActionSource.BUSINESS_MESSAGING
            yield self.plain("LeadSubmitted", action_source=source, user_data=person, messaging_channel=channel)
        for model in AttributionModel:
            yield self.plain("Lead", attribution_data=AttributionData(attribution_model=model.value))
        for name, members in (("attribution_method", AttributionMethod), ("decline_reason", DeclineReason)):
            for member in members:
                attribution = AttributionData(scope="click")
                setattr(attribution, f"_{name}", member.value)
                yield self.plain("Lead", attribution_data=attribution)

    def edges(self) -> Iterator[Event]:
        """Yield events with values at the edge of their ranges, and with empty values."""
        zeros = CustomData(value=0, net_revenue=-12.5, currency="JPY", predicted_ltv=0, num_items=0)
        yield self.plain(custom_data=zeros, opt_out=False)
        yield self.plain(data_processing_options=[])
        yield self.plain(data_processing_options=["LDU"])
        options: dict[str, Any] = {"data_processing_options_country": 0, "data_processing_options_state": 0}
        yield self.plain(data_processing_options=["LDU"], **options)
        yield self.plain("Lead", custom_data=CustomData(custom_properties={"empty": "", "none": None, "no": False}))
        yield self.plain("Lead", custom_data=CustomData(content_ids=[], contents=[]))
        yield self.plain("Lead", custom_data=None)
        yield self.plain("Lead", event_time=self._now - 6 * 86_400)
        store = ActionSource.PHYSICAL_STORE
        yield self.plain(event_time=self._now - 61 * 86_400, action_source=store, event_source_url=None)
        crm = {"event_source": "crm", "lead_event_source": "Nice CRM"}
        yield self.plain(
            "Converted",
            action_source=ActionSource.SYSTEM_GENERATED,
            event_source_url=None,
            user_data=UserData(lead_id=2847561037465123),
            custom_data=CustomData(custom_properties=crm),
        )

    def of_request(self) -> Iterator[Event]:
        """Yield events whose browser ids and addresses the SDK takes from a visitor's request."""
        context = {
            "HTTP_HOST": "shop.example",
            "HTTP_COOKIE": "_fbp=fb.1.1700000000000.1116446470; _fbc=fb.1.1700000000000.AbCdEf",
            "HTTP_REFERER": "https://search.example/",
            "wsgi.url_scheme": "https",
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/thank-you",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "93.184.216.34",
        }
        for preference in (None, Preference(is_fbc_allowed=False)):
            event = self.plain("Lead", event_source_url=None)
            event.set_request_context(context, preference)
            yield event

    def cases(self) -> dict[str, Callable[[], Sequence[Any]]]:
        """Return events that Graph refuses, each by its fault, and "plain", which it accepts."""
        old: dict[str, Any] = {"event_time": self._now - 30 * 86_400}
        broad = UserData(country_code="de", client_user_agent=AGENT)
        message: dict[str, Any] = {"action_source": ActionSource.BUSINESS_MESSAGING}
        return {
            "plain": lambda: [self.plain()],
            "too old": lambda: [self.plain(**old)],
            "in the future": lambda: [self.plain(event_time=self._now + 86_400)],
            "in milliseconds": lambda: [self.plain(event_time=self._now * 1000)],
            "no value": lambda: [self.plain(custom_data=CustomData(currency="eur"))],
            "no currency": lambda: [self.plain(custom_data=CustomData(value=12.5))],
            "little identity": lambda: [self.plain(user_data=broad)],
            "no identity": lambda: [self.plain(user_data=UserData())],
            "no message": lambda: [self.plain("Lead", **message)],
            "no device": lambda: [self.plain("Lead", action_source=ActionSource.APP)],
            "no lead": lambda: [self.plain("Lead", user_data=UserData(lead_id="12", email="nora@shop.example"))],
            "no source": lambda: [self.plain(action_source=None)],
            "the second": lambda: [self.plain(), self.plain(**old)],
            "no events": list,
            "1,001 events": lambda: [self.plain() for _ in range(1001)],
            "not JSON": lambda: [self.plain(), self.plain(custom_data=CustomData(value=float("nan"), currency="eur"))],
            "too large": lambda: [self.plain(custom_data=CustomData(value=1, currency="eur", status="x" * 17_000_000))],
        }

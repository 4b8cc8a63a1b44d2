"""FastAPI with Meta's Python SDK, as the SDK's page shows it (Meta, Conversions API, Using the API).

Each event is built, normalised and hashed by the SDK; only ``EventRequest.execute``, which would send, is left out.
"""

import sys
from typing import Any

import uvicorn
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.user_data import UserData
from fastapi import FastAPI, Request, Response

app = FastAPI(openapi_url=None)


def user_data(request: Request, visit: dict[str, Any], match: dict[str, str]) -> UserData:
    """Return the SDK's description of the visitor, from the request's headers and the page's data."""
    contact = {
        "email": match.get("em"),
        "phone": match.get("ph"),
        "first_name": match.get("fn"),
        "last_name": match.get("ln"),
        "city": match.get("ct"),
        "zip_code": match.get("zp"),
        "country_code": match.get("country"),
        "external_id": match.get("external_id"),
    }
    return UserData(
        client_ip_address=request.headers.get("x-forwarded-for"),
        client_user_agent=request.headers.get("user-agent"),
        fbp=visit.get("fbp"),
        fbc=visit.get("fbc"),
        **{name: value for name, value in contact.items() if value},
    )


def custom_data(data: dict[str, Any]) -> CustomData:
    """Return the SDK's description of the purchase, or of whatever happened, with its goods."""
    contents = [
        Content(product_id=item.get("id"), quantity=item.get("quantity"), item_price=item.get("item_price"))
        for item in data.get("contents", [])
    ]
    return CustomData(
        value=data.get("value"),
        currency=data.get("currency"),
        content_name=data.get("content_name"),
        content_category=data.get("content_category"),
        content_ids=data.get("content_ids"),
        content_type=data.get("content_type"),
        contents=contents or None,
        order_id=data.get("order_id"),
        num_items=data.get("num_items"),
    )


@app.post("/bench/e")  # type: ignore[untyped-decorator] # its types are in the environment of the peers
async def collect(request: Request) -> Response:
    """Build, normalise and hash all events of a request, without sending them."""
    visit = await request.json()
    for event in visit["events"]:
        data = event["data"]
        Event(
            event_name=event["name"],
            event_time=event["at"] // 1000,
            event_id=event["id"],
            event_source_url=visit["url"],
            referrer_url=visit["referrer"],
            action_source=ActionSource.WEBSITE,
            user_data=user_data(request, visit, visit["match"].get(event["pixels"][0], {})),
            custom_data=custom_data(data) if data else None,
        ).normalize()
    return Response(status_code=204)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )

"""``[alerts]``: which receivers are told of which conditions, and how often."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr

from proxy.config.field_types import AlertSecret, HookAddress, MailAddress, TimeZone, Whole
from proxy.config.section import Section
from proxy.model.condition import ConditionCode

ALL = "*"


def _condition(value: str) -> str:
    if value != ALL and value.removeprefix("!") not in get_args(ConditionCode):
        raise ValueError("not a condition")
    return value


class AlertHook(Section):
    """``[[alerts.webhook]]``: an address that takes messages by POST."""

    kind: Literal["json", "slack", "discord"] = Field("json", description='"json", "slack" or "discord"')
    url: HookAddress = Field(description="an http(s) address: a text, env:NAME or file:PATH")


class AlertMail(Section):
    """``[[alerts.email]]``: people who get messages by e-mail, and the server that sends it."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$", description="the mail server's name")
    port: Whole = Field(0, ge=0, le=65535, description="a port; 0: 587 with starttls, 465 with tls, 25 with none")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description='"starttls", "tls" or "none"')
    user: AlertSecret = Field(SecretStr(""), description="a text, env:NAME or file:PATH; empty: no login")
    password: AlertSecret = Field(SecretStr(""), description="a text, env:NAME or file:PATH")
    sender: MailAddress = Field(description='an e-mail address such as "capi-proxy@shop.example"')
    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=20, description="a list of 1 to 20 e-mail addresses")


class AlertSettings(Section):
    """``[alerts]``: which conditions are sent to the receivers, and when."""

    conditions: tuple[Annotated[str, AfterValidator(_condition)], ...] = Field(
        (ALL,), description='a list of condition codes; "*" is all, "!code" excludes one'
    )
    least: Literal["degraded", "failing"] = Field("degraded", description='"degraded" (all) or "failing"')
    dashboard_url: str = Field(
        "", pattern=r"^(https?://[^\s<>\"]+)?$", description="empty, or the http(s) address of the dashboard"
    )
    after_seconds: Whole = Field(300, ge=0, le=86_400, description="seconds, 0 to 86400")
    failing_after_seconds: Whole = Field(60, ge=0, le=86_400, description="seconds, 0 to 86400")
    clear_seconds: Whole = Field(300, ge=0, le=86_400, description="seconds, 0 to 86400")
    repeat_hours: Whole = Field(0, ge=0, le=720, description="hours, 0 (never) to 720")
    summary_at: str = Field(
        "", pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$", description='empty (no summary), or a time such as "08:00"'
    )
    time_zone: TimeZone = Field("UTC", description='a time zone such as "Europe/Berlin"')
    webhook: tuple[AlertHook, ...] = Field((), description="[[alerts.webhook]] for each address")
    email: tuple[AlertMail, ...] = Field((), description="[[alerts.email]] for each mail server")

    def wants(self, code: ConditionCode, *, failing: bool) -> bool:
        """Tell whether the receivers are told of a condition; ``failing``: whether readiness fails because of it."""
        if f"!{code}" in self.conditions or (self.least == "failing" and not failing):
            return False
        return ALL in self.conditions or code in self.conditions

"""What all tables of the configuration have in common: no key is unknown, and nothing changes after the start."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

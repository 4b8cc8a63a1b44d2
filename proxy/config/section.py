"""What all tables of the configuration have in common: unknown keys are refused, and values do not change."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

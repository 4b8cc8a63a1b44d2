"""Every key of the configuration."""

from pydantic import BaseModel

from proxy.config.schema import Settings


def models(model: type[BaseModel] = Settings, path: str = "") -> dict[str, type[BaseModel]]:
    """Return every section of the configuration by its path in TOML."""
    found = {path: model}
    for name, field in model.model_fields.items():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= models(part, f"{path}.{name}".lstrip("."))
    return found


KEYS = [(path, name) for path, model in models().items() for name in model.model_fields]

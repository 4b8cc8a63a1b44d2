"""Access keys that are listed twice, or that are also another secret: checked after all secrets were read."""

from collections.abc import Iterator

from pydantic import SecretStr

from proxy.config.problems import Problem
from proxy.config.schema import Settings, Site


def repeated_keys(settings: Settings) -> Iterator[Problem]:
    """Yield access keys that are listed twice, or are also another secret: each must open one site and nothing else."""
    first = _other_secrets(settings)
    for index, site in enumerate(settings.site):
        for number, key in enumerate(site.access_keys):
            path, text = f"site[{index}].access_keys[{number}]", key.get_secret_value()
            owner = first.setdefault(text, path) if text else path
            if owner != path:
                yield Problem(path, f"a secret (also {owner})", "a key that stands nowhere else")


def _other_secrets(settings: Settings) -> dict[str, str]:
    server = settings.server
    named = {"server.secret": server.secret, "server.operator_password": server.operator_password}
    named |= {f"server.old_secrets[{number}]": secret for number, secret in enumerate(server.old_secrets)}
    for index, site in enumerate(settings.site):
        named |= _pixel_secrets(f"site[{index}]", site) | _webhook_secrets(f"site[{index}]", site)
    return {secret.get_secret_value(): path for path, secret in reversed(named.items())}


def _pixel_secrets(path: str, site: Site) -> dict[str, SecretStr]:
    tokens = {f"{path}.pixel[{number}].access_token": pixel.access_token for number, pixel in enumerate(site.pixel)}
    return tokens | {f"{path}.pixel[{number}].app_secret": pixel.app_secret for number, pixel in enumerate(site.pixel)}


def _webhook_secrets(path: str, site: Site) -> dict[str, SecretStr]:
    return {
        f"{path}.webhook[{number}].{key}": secret
        for number, webhook in enumerate(site.webhook)
        for key, secret in [
            ("secret", webhook.secret),
            *((f"old_secrets[{place}]", old) for place, old in enumerate(webhook.old_secrets)),
        ]
    }

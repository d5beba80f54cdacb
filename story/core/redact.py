"""Keep the values of secrets out of whatever is shown, logged or recorded."""

from __future__ import annotations

import re

from story.core.settings import Settings

HIDDEN = "***"
SHORTEST = 6
"""Characters; hiding a shorter value ("1", "true") would garble ordinary words and protect nothing."""

_SECRET_NAME = re.compile(r"(^|_)(API|ACCESS|PRIVATE|AUTH)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD)S?(_|$)", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether an environment variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def redact(text: str, settings: Settings) -> str:
    """`text` with the value of every secret variable of `settings` replaced by ***."""
    values = {value.strip() for name, value in settings.env.items() if is_secret(name)}
    for value in sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text

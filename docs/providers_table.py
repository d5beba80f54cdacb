"""Write the tables of docs/providers.md from what the built-in providers offer.

python docs/providers_table.py          # print them
python docs/providers_table.py --write  # put them into providers.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.describe import Offer, ProviderInfo, describe_provider

PAGE = Path(__file__).parent / "providers.md"
BEGIN, END = "<!-- begin: python docs/providers_table.py --write -->\n", "<!-- end -->\n"


def tables() -> str:
    """The Markdown between the marks."""
    settings = Settings(env={"STORY_LOAD_PLUGINS": ""})
    registry = load_plugins(settings).registry
    found = [describe_provider(name, registry, settings) for name in registry.providers()]
    return "\n".join([*_overview(found), "", *_models(found)])


def _overview(found: list[ProviderInfo]) -> Iterator[str]:
    yield "| provider | role | default model | short names | key | package |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for provider in found:
        for offer in provider.offers:
            keys = ", ".join(f"`{key.name}`" for key in offer.keys) or "none"
            row = (provider.name, offer.role, _default(offer), _code(offer.aliases), keys, f"`{offer.package}`")
            yield f"| {' | '.join(row)} |"


def _models(found: list[ProviderInfo]) -> Iterator[str]:
    for provider in found:
        for offer in provider.offers:
            if len(offer.models) > 1 or offer.voices:
                yield f"**{provider.name}, {offer.role.replace('_', ' ')}**: {_code(offer.models)}."
                if offer.voices:
                    yield f"Voices: {_code(offer.voices)}."
                yield ""


def _default(offer: Offer) -> str:
    return f"`{offer.default_model}`" + (f", voice `{offer.default_voice}`" if offer.default_voice else "")


def _code(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names) if isinstance(names, list | dict) else ""


def updated(page: str) -> str:
    """`page` with the tables of today between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(tables())

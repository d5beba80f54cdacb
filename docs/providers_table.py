"""Write the tables of docs/providers.md from what the built-in providers offer.

python docs/providers_table.py          # print them
python docs/providers_table.py --write  # put them into providers.md
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from story.core.plugins import load_plugins
from story.core.registry import Registry
from story.core.resolve import resolve
from story.core.settings import Settings
from story.describe import Offer, ProviderInfo, default_stack, describe_provider

PROVEN = Path(__file__).parent / "proven.toml"
ON_DEVICE = {"local"}
"""The stacks that tests/test_local_calls.py holds whole calls with."""
PAGE = Path(__file__).parent / "providers.md"
BEGIN, END = "<!-- begin: python docs/providers_table.py --write -->\n", "<!-- end -->\n"


def tables() -> str:
    """The Markdown between the marks."""
    settings = Settings(env={"STORY_LOAD_PLUGINS": ""})
    registry = load_plugins(settings).registry
    found = [describe_provider(name, registry, settings) for name in registry.providers()]
    return "\n".join([*_overview(found), "", *_proofs(found, _proven(registry)), "", *_models(found)])


def _overview(found: list[ProviderInfo]) -> Iterator[str]:
    yield "| provider | role | default model | short names | key | package |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for provider in found:
        for offer in provider.offers:
            keys = ", ".join(f"`{key.name}`" for key in offer.keys) or "none"
            row = (provider.name, offer.role, _default(offer), _code(offer.aliases), keys, f"`{offer.package}`")
            yield f"| {' | '.join(row)} |"


def _proven(registry: Registry) -> set[tuple[str, str, str]]:
    """(provider, role, model) of what stands in a whole call of the tests."""
    calls = tomllib.loads(PROVEN.read_text(encoding="utf-8"))["call"]
    specs = {call[persona] for call in calls for persona in ("intro", "story")} | ON_DEVICE
    default = default_stack(registry)
    refs = [ref for spec in specs for ref in resolve(spec, registry, default_stack=default).refs]
    return {(ref.provider, ref.role, ref.model) for ref in refs}


def _proofs(found: list[ProviderInfo], proven: set[tuple[str, str, str]]) -> Iterator[str]:
    yield "| provider | role | proven in a whole call | built by its plugin, same protocol |"
    yield "| --- | --- | --- | --- |"
    for provider in found:
        for offer in provider.offers:
            called = {model for name, role, model in proven if (name, role) == (provider.name, offer.role)}
            models = dict.fromkeys([*offer.models, offer.default_model])
            rest = [model for model in models if model not in called]
            shown = _code(sorted(called)) or "none"
            others = f"{len(rest)} more" if len(rest) > 4 else _code(rest) or "none"
            yield f"| {provider.name} | {offer.role} | {shown} | {others} |"


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

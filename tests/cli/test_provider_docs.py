"""docs/providers.md says what the registry says, and its example of story.toml works."""

from __future__ import annotations

import runpy
import textwrap
from pathlib import Path

import pytest

from story import Role
from story.core.plugins import load_plugins
from story.core.resolve import resolve
from story.core.settings import load_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "providers.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_registry() -> None:
    updated = runpy.run_path(str(DOCS / "providers_table.py"))["updated"]
    assert updated(PAGE) == PAGE, "run: python docs/providers_table.py --write"


def test_the_example_can_be_built(tmp_path: Path) -> None:
    _, _, rest = PAGE.partition("    [providers.openai]")
    example, _, _ = rest.partition("\nA table becomes")
    (tmp_path / "story.toml").write_text(textwrap.dedent(f"    [providers.openai]{example}"), encoding="utf-8")
    keys = dict.fromkeys(("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "ELEVEN_API_KEY"), "dummy")
    settings = load_settings(folder=tmp_path, environ=keys)
    registry = load_plugins(settings).registry
    built = {}
    for name in ("careful", "live"):
        for ref in resolve(name, registry).refs:
            factory = registry.factory(ref.role, ref.provider)
            assert factory is not None
            if ref.provider != "local":
                built[ref.role] = factory.build(ref.model_options(factory, settings))
    assert vars(built[Role.STT])["_opts"].endpointing_ms == 100
    assert vars(built[Role.LLM])["_opts"].temperature == pytest.approx(0.4)
    assert str(vars(built[Role.LLM])["_client"].base_url) == "http://127.0.0.1:8000/v1/"
    assert vars(built[Role.TTS])["_opts"].voice_settings.stability == 0.5
    assert vars(built[Role.REALTIME])["_opts"].turn_detection.eagerness == "low"

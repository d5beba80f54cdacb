"""One model process for all tests of this folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from recorded_callers import CALLERS

from story.providers.local import process


@pytest.fixture(scope="session", autouse=True)
def _model_process() -> Iterator[None]:
    yield
    asyncio.run(process.shutdown())


@pytest.fixture(scope="session")
def said() -> dict[str, str]:
    """What each recording says, by its path under tests/callers."""
    callers = json.loads((CALLERS / "callers.json").read_text(encoding="utf-8"))
    return {turn["file"]: turn["text"] for caller in callers.values() for turn in caller["turns"]}

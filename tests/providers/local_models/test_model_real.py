"""The real catalogue: wherever the first source can't be reached, this proves the way round it."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_shelf import Heard, left_over

from story.providers.local.store import Store


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["whisper-tiny.en", "kokoro"])
def test_a_model_arrives_through_the_normal_chain(tmp_path: Path, progress: Heard, name: str) -> None:
    store = Store(tmp_path)
    store.ensure(name, progress)
    assert store.verify(name, progress) == []
    assert left_over(tmp_path) == []

"""The lock file of the packages from npm: hashed, and silent about where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/transports/web/browser", "tools/livekit-client")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lock_file_has_hashes_and_no_address(folder: str) -> None:
    text = (ROOT / folder / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text and '"resolved"' not in text
    packages = {path: entry for path, entry in json.loads(text)["packages"].items() if path}
    assert packages
    assert all(entry["version"] and entry["integrity"].startswith("sha512-") for entry in packages.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lock_file_is_in_step(folder: str) -> None:
    wanted = json.loads((ROOT / folder / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert locked.get(kind) == wanted.get(kind)

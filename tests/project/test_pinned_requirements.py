"""The lock files: in step with pyproject.toml, hashed, and silent about where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME, TEST = ROOT / "requirements/runtime.txt", ROOT / "requirements/test.txt"


def pins(lock: Path) -> dict[str, set[str]]:
    """Name to its pinned versions: several where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def needed(lock: Path) -> list[str]:
    """What pyproject.toml says has to be in a lock file."""
    runtime = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["build-system"]["requires"],
        *PROJECT["dependency-groups"]["build"],
    ]
    if lock == RUNTIME:
        return runtime
    extras = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
    return [*runtime, *extras, *PROJECT["dependency-groups"]["test"]]


@pytest.mark.parametrize("lock", [RUNTIME, TEST], ids=lambda lock: lock.stem)
def test_every_dependency_is_pinned_within_its_bounds(lock: Path) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, needed(lock)):
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in {lock.name}: make lock"
        for version in versions:
            assert requirement.specifier.contains(Version(version), prereleases=True), f"{requirement}: make lock"


def test_the_test_tools_change_no_version_of_the_product() -> None:
    tools = pins(TEST)
    assert {name: tools.get(name) for name in pins(RUNTIME)} == pins(RUNTIME)


@pytest.mark.parametrize("lock", [RUNTIME, TEST], ids=lambda lock: lock.stem)
def test_a_lock_file_has_pins_and_hashes_only(lock: Path) -> None:
    pin = r"[\w.-]+==\S+( ; [^\\]+)? \\"
    hash_ = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), 1):
        assert line.startswith("#") or re.fullmatch(f"{pin}|{hash_}", line), f"{lock.name}:{number}: {line}"

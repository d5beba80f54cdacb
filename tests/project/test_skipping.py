"""tests/conftest.py: what is skipped on a user's machine fails where everything must run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SUITES = {
    "weights": "import pytest\n@pytest.mark.weights('kokoro')\ndef test_it(): pass\n",
    "browser": "import pytest\n@pytest.mark.browser\ndef test_it(): pass\n",
    "livekit": "import pytest\n@pytest.mark.livekit\ndef test_it(): pass\n",
    "module": "import pytest\npytest.importorskip('no_such_module_anywhere')\n",
    "whole": "def test_it(): pass\n",
}
LEAN = [f"-pno:{plugin}" for plugin in ("cacheprovider", "asyncio", "hypothesispytest", "timeout", "anyio")]
MARKS = "[pytest]\nmarkers =\n  weights: w\n  portaudio: p\n  browser: b\n  livekit: l\n"
REASONS = {
    "weights": "story models pull kokoro",
    "browser": "make test-tools",
    "livekit": "make livekit-server",
    "module": "no_such_module_anywhere",
}


def run(folder: Path, suite: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run one suite under our conftest, on a machine without any weights and programs."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "pytest.ini").write_text(MARKS)
    (folder / "test_one.py").write_text(f"def test_that_runs(): pass\n\n{SUITES[suite]}")
    command = [sys.executable, "-m", "pytest", "-ra", *LEAN, str(folder)]
    env = {**os.environ, "CI": ci, "STORY_CACHE": str(folder / "cache"), "PATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suite", REASONS)
def test_skipped_with_the_reason_on_a_users_machine(tmp_path: Path, suite: str) -> None:
    done = run(tmp_path, suite, ci="")
    assert "1 skipped" in done.stdout
    assert REASONS[suite] in done.stdout
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.mark.parametrize("suite", REASONS)
def test_fails_on_ci(tmp_path: Path, suite: str) -> None:
    done = run(tmp_path, suite, ci="true")
    assert done.returncode != 0, done.stdout


def test_ci_minds_nothing_else(tmp_path: Path) -> None:
    assert run(tmp_path, "whole", ci="true").returncode == 0

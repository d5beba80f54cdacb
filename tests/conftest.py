"""What all tests share: which ones can run on this machine, and that none is left out where everything must run."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import sys
from pathlib import Path

import pytest

ON_CI = bool(os.environ.get("CI"))
AXE = Path(__file__).parent / "transports/web/browser/node_modules/axe-core"
LIVEKIT_SERVER = Path(__file__).parents[1] / ".tools/livekit-server"
OTHERS = ("STORY_LOAD_PLUGINS", "OPENAI_BASE_URL")
DEFAULT_MODELS = ("qwen2.5-coder-1.5b", "moonshine-tiny-en", "hibari")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees no key of whoever runs it (and so can't spend their money); it sets those it needs itself."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("LIVEKIT_") or name in OTHERS:
            monkeypatch.delenv(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose heavy part is not on this machine, and say how to get it. On CI that is a failure."""
    reason = _lacking(item)
    if reason is None:
        return
    if ON_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _lacking(item: pytest.Item) -> str | None:
    if item.get_closest_marker("portaudio") and sys.platform == "linux" and not ctypes.util.find_library("portaudio"):
        return "PortAudio is missing: apt-get install libportaudio2"
    if item.get_closest_marker("browser"):
        if shutil.which("chromium") is None:
            return "Chromium is missing: make test-tools, or apt-get install chromium"
        if not AXE.is_dir():
            return "axe-core is missing: make test-tools, or npm ci in tests/transports/web/browser"
    if item.get_closest_marker("livekit") and not LIVEKIT_SERVER.is_file() and shutil.which("livekit-server") is None:
        return "a LiveKit server is missing: make livekit-server (needs Go), or put livekit-server on the PATH"
    marker = item.get_closest_marker("weights")
    if marker is None:
        return None
    from story.providers.local import store

    missing = [name for name in marker.args or DEFAULT_MODELS if store.locate(name) is None]
    return f"weights are missing: story models pull {' '.join(missing)}" if missing else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI set, a run that skipped anything fails (`-ra` prints the reasons)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ON_CI and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why such a run failed."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if ON_CI and skipped:
        terminalreporter.write_line(f"CI is set: {skipped} skipped, and nothing may be skipped here", red=True)

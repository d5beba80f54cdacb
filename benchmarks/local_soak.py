"""Many storyteller calls in one process: does anything grow?

    python benchmarks/local_soak.py [--calls 20]

Holds call after call with the same recorded caller in this process. Prints, after each, the memory of this process
and of the model process (PSS, MB), and how many tasks, threads and open files there are; then how much they grew
between the second call (by then everything has been loaded once) and the last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import sys
import threading
from dataclasses import astuple, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from story.core.launch import hold_call  # noqa: E402
from story.core.plan import plan_call  # noqa: E402
from story.core.plugins import load_plugins  # noqa: E402
from story.core.settings import Settings  # noqa: E402
from story.transports.file import FileTransport  # noqa: E402

TURNS = [ROOT / "tests" / "callers" / "emma" / f"turn{number}.wav" for number in (1, 3)]


@dataclass(frozen=True)
class Size:
    """What there is after a call."""

    own_mb: float
    models_mb: float
    tasks: int
    threads: int
    files: int


def measure() -> Size:
    gc.collect()
    process = psutil.Process()
    children = sum(child.memory_full_info().pss for child in process.children(recursive=True))
    return Size(
        own_mb=round(process.memory_full_info().pss / 1e6, 1),
        models_mb=round(children / 1e6, 1),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        files=process.num_fds(),
    )


async def soak(calls: int) -> list[Size]:
    settings = Settings()
    plugins = load_plugins(settings)
    plan = plan_call(plugins.registry, settings, stacks={"intro": "local", "story": "local"})
    sizes: list[Size] = []
    for number in range(1, calls + 1):
        ended = await hold_call(plan, FileTransport(TURNS), plugins, settings)
        sizes.append(measure())
        print(f"{number:3} {ended.reason:13} {sizes[-1]}", flush=True)
    return sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    print(f"{platform.machine()} python={platform.python_version()} livekit-agents={version('livekit-agents')}")
    sizes = asyncio.run(soak(options.calls))
    if len(sizes) > 1:
        for field, first, last in zip(fields(Size), astuple(sizes[1]), astuple(sizes[-1]), strict=True):
            print(f"{field.name:10} {first} -> {last}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

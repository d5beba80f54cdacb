"""What benchmarks that compare servers have in common: parts by server, told as they come, and a table at the end."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.web_calls.figures import Found
from benchmarks.web_calls.servers import Kind, Place

PART_SECONDS = 1500.0
"""After which a part of the benchmark is given up."""
QUIET_LOAD = 1.0
PACKAGES = ("livekit-agents", "livekit", "aiortc", "av", "aiohttp", "numpy")

Part = Callable[[Kind], Awaitable[Found]]


@dataclass(frozen=True)
class Comparison:
    """kinds: the servers. parts: what can be measured of each, by name, given where things run; called in the event
    loop. compare_starts: adds to the figures of all servers' `start` how they compare. longer: seconds of a part that
    may take more than the others."""

    kinds: Sequence[Kind]
    parts: Callable[[Place], Mapping[str, Part]]
    compare_starts: Callable[[Mapping[str, Found]], None]
    longer: Mapping[str, float]

    def run(self, options: argparse.Namespace) -> int:
        """Measure what the options of `parser` ask for, and print it. Returns the exit code."""
        machine = about()
        tell(" ".join(f"{name}={value}" for name, value in machine.items()), options)
        if float(str(machine["load"])) > QUIET_LOAD:
            tell("WARNING: this machine has other work to do (load average over 1): the figures suffer", options)
        with tempfile.TemporaryDirectory(prefix="story-benchmark-") as scratch:
            folder = options.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                found = asyncio.run(self._measure(options, folder.resolve()))
            except (KeyboardInterrupt, asyncio.CancelledError):
                return 130
        tell("\n" + "\n".join(table(found)), options)
        if options.json:
            data = {part: {server: one.data for server, one in each.items()} for part, each in found.items()}
            print(json.dumps({"about": machine, "load_at_end": round(os.getloadavg()[0], 2), "parts": data}))
        return 0

    async def _measure(self, options: argparse.Namespace, folder: Path) -> dict[str, dict[str, Found]]:
        """Part -> server -> what was found. The servers have a core, all else shares another."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that the servers are stopped
        cores = sorted(os.sched_getaffinity(0))
        pinned = len(cores) > 1
        place = Place(folder, cores[0] if pinned else None, cores[-1] if pinned else None)
        if pinned:
            os.sched_setaffinity(0, {cores[-1]})
        parts = self.parts(place)
        names = options.parts.split(",")
        if unknown := [name for name in names if name not in parts]:
            sys.exit(f"there is no part {unknown[0]}: choose from {', '.join(parts)}")
        found: dict[str, dict[str, Found]] = {}
        for part in dict.fromkeys(names):
            for kind in self.kinds:
                began = time.monotonic()
                result = await _attempt(parts[part], kind, self.longer.get(part, PART_SECONDS))
                found.setdefault(part, {})[kind.name] = result
                tell(f"\n{part}, {kind.name}  ({time.monotonic() - began:.0f} s)", options)
                for line in result.lines:
                    tell(f"  {line}", options)
            if part == "start":
                self.compare_starts(found[part])
        return found


def parser(
    doc: str | None, *, servers: Sequence[str], parts: str, others: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """The options that all such benchmarks have. parts: the default ones; others: those one has to ask for."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--servers", default="story,livekit", help=", ".join(servers))
    made.add_argument("--parts", default=parts, help="; ".join((parts, *([", ".join(others)] if others else []))))
    made.add_argument("--turns", type=int, default=16, help="of latency and barge")
    made.add_argument("--acks", type=int, help="how many acknowledgements and coughs; by default all")
    made.add_argument("--pauses", type=int, default=20, help="how many sentences with a pause")
    made.add_argument("--pause", type=float, default=0.7, help="its length, seconds")
    made.add_argument("--seed", type=int, default=5, help="of where the pauses are")
    made.add_argument("--handoffs", type=int, default=15)
    made.add_argument("--starts", type=int, default=5)
    made.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the servers' logs there")
    made.add_argument("--json", action="store_true", help="print JSON with every turn; the text goes to stderr")
    return made


def about() -> dict[str, object]:
    """The machine and the versions."""
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def tell(line: str, options: argparse.Namespace) -> None:
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


def table(found: Mapping[str, Mapping[str, Found]]) -> list[str]:
    """The figures of all servers side by side."""
    servers = list(dict.fromkeys(server for by_server in found.values() for server in by_server))
    rows: list[list[str]] = [["", *servers]]
    for by_server in found.values():
        for name in dict.fromkeys(name for result in by_server.values() for name in result.summary):
            rows.append([name, *(by_server[s].summary.get(name, "-") if s in by_server else "-" for s in servers)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


async def _attempt(part: Part, kind: Kind, seconds: float) -> Found:
    """A part of one server; one that fails must not take the others with it."""
    try:
        async with asyncio.timeout(seconds):
            return await part(kind)
    except Exception as error:
        return Found(lines=[f"failed: {type(error).__name__}: {error}"], data={"error": repr(error)})

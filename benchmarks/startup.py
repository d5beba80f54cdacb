"""How long `story` takes to answer, against the `--help` of an empty typer app with as many commands.

    python benchmarks/startup.py [--runs 15] [--json]

All programs run in turn, so that a busy machine slows all of them alike; the medians of wall and processor time are
compared. Exits with 1 where a command takes more than 1.5 times as long as the empty app, or imports what it must not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TARGET = 1.5
FORBIDDEN = ("livekit", "numpy")
STORY = (sys.executable, "-c", "from story.cli import main; main()")
PROGRAMS = {
    "empty typer app --help": (sys.executable, str(HERE / "empty_typer_app.py"), "--help"),
    "story --help": (*STORY, "--help"),
    "story stacks show local": (*STORY, "stacks", "show", "local"),
    "story stacks show deepgram+gpt4o-mini": (*STORY, "stacks", "show", "deepgram+gpt4o-mini"),
    "story providers": (*STORY, "providers"),
}


@dataclass
class Timing:
    """Seconds of each run."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take(self, command: tuple[str, ...]) -> None:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent)
        self.wall.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def forbidden_imports(command: tuple[str, ...]) -> list[str]:
    """Which of the packages that take seconds `command` imports."""
    traced = (command[0], "-X", "importtime", *command[1:])
    done = subprocess.run(traced, check=True, capture_output=True, text=True, cwd=HERE.parent)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return sorted(set(FORBIDDEN) & {name.partition(".")[0] for name in imported})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    heavy = {name: found for name, command in PROGRAMS.items() if (found := forbidden_imports(command))}
    timings = {name: Timing() for name in PROGRAMS}
    for _ in range(arguments.runs):
        for name, command in PROGRAMS.items():
            timings[name].take(command)

    empty = statistics.median(timings["empty typer app --help"].wall)
    empty_cpu = statistics.median(timings["empty typer app --help"].cpu)
    rows = [
        {
            "command": name,
            "wall_ms": round(statistics.median(timing.wall) * 1000),
            "cpu_ms": round(statistics.median(timing.cpu) * 1000),
            "wall_ratio": round(statistics.median(timing.wall) / empty, 2),
            "cpu_ratio": round(statistics.median(timing.cpu) / empty_cpu, 2),
            "imports": heavy.get(name, []),
        }
        for name, timing in timings.items()
    ]
    machine = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("typer", "rich", "pluggy")},
        "runs": arguments.runs,
    }
    if arguments.json:
        print(json.dumps({**machine, "target": TARGET, "commands": rows}, indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in machine.items()))
        print(f"{'command':40}{'wall ms':>9}{'ratio':>7}{'cpu ms':>9}{'ratio':>7}")
        for row in rows:
            print(
                f"{row['command']:40}{row['wall_ms']:>9}{row['wall_ratio']:>7}{row['cpu_ms']:>9}{row['cpu_ratio']:>7}"
                + (f"  imports {', '.join(row['imports'])}" if row["imports"] else "")
            )
    slow = [row["command"] for row in rows if row["wall_ratio"] > TARGET]
    if slow:
        print(f"more than {TARGET} times the empty app: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow or heavy else 0


if __name__ == "__main__":
    sys.exit(main())

"""Calls to `story run` in rooms of a LiveKit server, beside a plain livekit-agents worker.

    python benchmarks/livekit.py [--servers story,livekit,...] [--parts start,join,latency,...] [--json]

One client (benchmarks/room_calls/caller.py, on livekit's own rtc) speaks the recordings of tests/callers into rooms and
listens; the vendors are `story emulate` with the profile `baseline`. The worker has a core for itself; the LiveKit
server (on loopback, as `make livekit-server` builds it), the emulator and the client share another. The conversation is
benchmarks/data/talk.toml for all.

`start`      from the process to its registration at the server, on the worker's core (median).
`join`       from a caller's join to the greeting's first sound, warm; 440 ms of it are the vendors'.
`latency`, `barge`, `pauses`, `acks`, `handoff`   as in benchmarks/web.py, which see. Before `- 690` and `- 900` are the
             caller's queue (40 ms) and jitter buffer, which are alike for all.
`cost`       CPU of the worker's core, memory (PSS of all its processes) and p95 with 1, 4, 8 and 12 calls that talk all
             the time. The client's core is nearly full at 8: look at its CPU before you believe a latency there.

`story` has a thread for each call, `story-process` a process. `livekit` is the plain worker that goes by silence alone
and lets callers break in at once, `livekit-defaults` leaves livekit's options alone; both have a process for each call,
`livekit-thread` a thread.

All default parts take some 20 minutes a worker, on a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # not the folder of this file, where livekit would be this file

from benchmarks.room_calls.servers import livekit, story  # noqa: E402
from benchmarks.room_calls.starting import compare, cost, join, start  # noqa: E402
from benchmarks.web import PART_SECONDS, QUIET_LOAD, Part, about, attempt, parts_of, table, tell  # noqa: E402
from benchmarks.web_calls.figures import Found  # noqa: E402
from benchmarks.web_calls.servers import Kind, Place, stand, vendors  # noqa: E402
from benchmarks.web_calls.sound import Clip, callers, heard  # noqa: E402

SERVERS = ("story", "story-process", "livekit", "livekit-defaults", "livekit-thread")
PARTS = "start,join,latency,barge,pauses,acks,handoff,cost"
SHARED = ("latency", "barge", "pauses", "acks", "handoff")
"""Parts that are measured as in benchmarks/web.py."""


def kind_of(name: str) -> Kind:
    """A worker by its name on the command line."""
    match name:
        case "story":
            return story(name)
        case "story-process":
            return story(name, "--jobs", "process")
        case "livekit":
            return livekit(name, PLAIN_TURNS="vad")
        case "livekit-defaults":
            return livekit(name)
        case "livekit-thread":
            return livekit(name, PLAIN_TURNS="vad", PLAIN_JOBS="thread")
    sys.exit(f"there is no worker {name}: choose from {', '.join(SERVERS)}")


def room_parts(options: argparse.Namespace, place: Place, clips: dict[str, Clip]) -> dict[str, Part]:
    """The parts by their names."""
    known = heard(list(clips.values()), place.folder / "heard" / "heard.json")
    shared = parts_of(options, place, clips)

    async def of_start(kind: Kind) -> Found:
        async with vendors(place, known) as url:
            return await start(kind, place, url, options.starts)

    async def of_join(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await join(there, options.joins)

    async def of_cost(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await cost(there, clips, [int(calls) for calls in options.calls.split(",")])

    return {"start": of_start, "join": of_join, **{name: shared[name] for name in SHARED}, "cost": of_cost}


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, Found]]:
    """Everything that was asked for: part -> worker -> what was found."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that all is stopped
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1
    place = Place(folder, cores[0] if pinned else None, cores[-1] if pinned else None)
    if pinned:
        os.sched_setaffinity(0, {cores[-1]})
    parts = room_parts(options, place, callers())
    names = options.parts.split(",")
    if unknown := [name for name in names if name not in parts]:
        sys.exit(f"there is no part {unknown[0]}: choose from {', '.join(parts)}")
    kinds = [kind_of(name) for name in options.servers.split(",")]
    found: dict[str, dict[str, Found]] = {}
    for part in dict.fromkeys(names):
        for kind in kinds:
            began = time.monotonic()
            result = await attempt(parts[part], kind, PART_SECONDS)
            found.setdefault(part, {})[kind.name] = result
            tell(f"\n{part}, {kind.name}  ({time.monotonic() - began:.0f} s)", options)
            for line in result.lines:
                tell(f"  {line}", options)
        if part == "start":
            compare(found[part])
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--servers", default="story,livekit", help=", ".join(SERVERS))
    parser.add_argument("--parts", default=PARTS, help=PARTS)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--joins", type=int, default=10)
    parser.add_argument("--turns", type=int, default=16, help="of latency and barge")
    parser.add_argument("--acks", type=int, help="how many acknowledgements and coughs; by default all")
    parser.add_argument("--pauses", type=int, default=20, help="how many sentences with a pause")
    parser.add_argument("--pause", type=float, default=0.7, help="its length, seconds")
    parser.add_argument("--seed", type=int, default=5, help="of where the pauses are")
    parser.add_argument("--handoffs", type=int, default=15)
    parser.add_argument("--calls", default="1,4,8,12", help="of cost, in this order")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the logs there")
    parser.add_argument("--json", action="store_true", help="print JSON with every turn; the text goes to stderr")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    machine = {**about(), "livekit": version("livekit")}
    tell(" ".join(f"{name}={value}" for name, value in machine.items()), options)
    if float(str(machine["load"])) > QUIET_LOAD:
        tell("WARNING: this machine has other work to do: its load average is over 1, and the figures suffer", options)
    with tempfile.TemporaryDirectory(prefix="story-rooms-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            found = asyncio.run(measure(options, folder.resolve()))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return 130
    tell("\n" + "\n".join(table(found)), options)
    if options.json:
        data = {part: {server: one.data for server, one in each.items()} for part, each in found.items()}
        print(json.dumps({"about": machine, "load_at_end": round(os.getloadavg()[0], 2), "parts": data}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

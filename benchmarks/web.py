"""Calls to `story run` over WebRTC, beside plain livekit-agents and Pipecat: latency, manners, load, memory, start.

    python benchmarks/web.py [--servers story,livekit,...] [--parts latency,barge,...] [--json]

One client speaks the recordings of tests/callers into calls and listens; the vendors are `story emulate` with the
profile `baseline`. The server has a core for itself, the emulator and the client share another. Every server gets the
same conversation: benchmarks/data/talk.toml, and the same in benchmarks/peers.

The end (onset) of what the caller says is when the packet with the last (first) 10 ms of sound (RMS > 0.01) is sent.
The agent speaks while 20 ms that arrive are sound; it is silent 20 ms after the last before a gap of 350 ms.
The floor beside a latency: the vendors' share (690 ms), and the sound's way there and back as the vendors saw it.

`latency`    whole sentences: from their end to the agent's first sound.
`barge`      a caller breaks in 1.2 s into 12 s of speech: from the onset to silence, whether that lasts while the
             caller speaks, and the latency of the answer (`after-barge` is another name of the same part).
`pauses`     sentences with 700 ms of silence inside: how many are answered before they end.
`acks`       "mm-hm", "okay", coughs 1.5 s into 6 s of speech: the gap, and whether the speech goes on from where it
             stopped, which is told by how long it is in all.
`handoff`    from the caller's last sound to the realtime model's first, less 900 ms (the vendors without a connect),
             where its connection takes 0, 250 and 500 ms.
`load`       more and more calls that talk all the time, until p95 is 20 % over that of one; the CPU is that of the
             server's core.
`memory`     RSS before, with one call, and with eight more.
`start`      from the process to its first answer, a connected call, the first word in it (median; not pinned).
`hold`       30 minutes with a turn every 15 s: delays at the beginning and at the end. Not among the default parts.
`loss`       calls whose packets get lost or come late on their way to the server. Not among the default parts.

`story-model` is `story` with the end-of-turn model `turn_detector=local`. `livekit` goes by silence alone and lets
callers break in at once, `livekit-defaults` leaves livekit's options alone. Pipecat is measured if `--pipecat
PYTHON` names an environment that has it (benchmarks/peers/README.md).

All default parts take half an hour a server, on a machine that has nothing else to do.
"""

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
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.web_calls.acks import PROMPT, acks  # noqa: E402
from benchmarks.web_calls.breaking_in import barge  # noqa: E402
from benchmarks.web_calls.caller import on_loopback  # noqa: E402
from benchmarks.web_calls.crowds import load, memory  # noqa: E402
from benchmarks.web_calls.figures import Found  # noqa: E402
from benchmarks.web_calls.handoff import BASELINE_CONNECT, handoff  # noqa: E402
from benchmarks.web_calls.holding import bad_lines, hold  # noqa: E402
from benchmarks.web_calls.pauses import pauses  # noqa: E402
from benchmarks.web_calls.servers import STACK, Kind, Place, livekit, pipecat, stand, story, vendors  # noqa: E402
from benchmarks.web_calls.sound import Clip, callers, heard, paused_clips  # noqa: E402
from benchmarks.web_calls.starting import compare, start  # noqa: E402
from benchmarks.web_calls.turns import latency  # noqa: E402

SERVERS = ("story", "story-model", "livekit", "livekit-defaults", "pipecat")
PARTS = "latency,barge,pauses,acks,handoff,load,memory,start"
PART_SECONDS = 1500.0
"""After which a part of the benchmark is given up; a hold may take as long as it should, and a little more."""
QUIET_LOAD = 1.0

Part = Callable[[Kind], Awaitable[Found]]


def kind_of(name: str, options: argparse.Namespace) -> Kind:
    """A server by its name on the command line."""
    match name:
        case "story":
            return story()
        case "story-model":
            return story(name, f"{STACK}+turn_detector=local")
        case "livekit":
            return livekit(name, "--turn-detection", "vad")
        case "livekit-defaults":
            return livekit(name)
        case "pipecat":
            if options.pipecat is None:
                sys.exit("--servers pipecat needs --pipecat PYTHON: see benchmarks/peers/README.md")
            return pipecat(options.pipecat)
    sys.exit(f"there is no server {name}: choose from {', '.join(SERVERS)}")


def parts_of(options: argparse.Namespace, place: Place, clips: dict[str, Clip]) -> dict[str, Part]:
    """The parts by their names."""
    known = heard(list(clips.values()), place.folder / "heard" / "heard.json")

    acknowledgements = [clip for name, clip in clips.items() if name.startswith("ack/")]

    async def of_latency(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await latency(there, clips, options.turns)

    async def of_barge(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await barge(there, clips, options.turns)

    async def of_pauses(kind: Kind) -> Found:
        drawn = paused_clips(list(clips.values()), options.pauses, options.pause, options.seed)
        return await pauses(kind, place, drawn, acknowledgements)

    async def of_acks(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await acks(there, clips[PROMPT], acknowledgements[: options.acks])

    async def of_handoff(kind: Kind) -> Found:
        counts = {0.0: options.handoffs // 2, BASELINE_CONNECT: options.handoffs, 0.5: options.handoffs // 2}
        return await handoff(kind, place, known, clips, counts)

    async def of_load(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await load(there, clips, [int(calls) for calls in options.calls.split(",")])

    async def of_memory(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await memory(there, clips)

    async def of_start(kind: Kind) -> Found:
        async with vendors(place, known) as url:
            return await start(kind, place, url, options.starts)

    async def of_hold(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await hold(there, clips, options.minutes)

    async def of_loss(kind: Kind) -> Found:
        async with stand(kind, place, known) as there:
            return await bad_lines(there, clips, options.turns)

    return {
        "latency": of_latency,
        "barge": of_barge,
        "pauses": of_pauses,
        "acks": of_acks,
        "handoff": of_handoff,
        "load": of_load,
        "memory": of_memory,
        "start": of_start,
        "hold": of_hold,
        "loss": of_loss,
    }


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, Found]]:
    """Everything that was asked for: part -> server -> what was found."""
    on_loopback()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    loop.set_exception_handler(ignore_closed)
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)  # so that the servers are stopped
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1
    place = Place(folder, cores[0] if pinned else None, cores[-1] if pinned else None)
    if pinned:
        os.sched_setaffinity(0, {cores[-1]})
    parts = parts_of(options, place, callers())
    names = ["barge" if name == "after-barge" else name for name in options.parts.split(",")]
    if unknown := [name for name in names if name not in parts]:
        sys.exit(f"there is no part {unknown[0]}: choose from {', '.join(parts)}")
    kinds = [kind_of(name, options) for name in options.servers.split(",")]
    found: dict[str, dict[str, Found]] = {}
    for part in dict.fromkeys(names):
        for kind in kinds:
            began = time.monotonic()
            result = await attempt(parts[part], kind, PART_SECONDS + 60 * options.minutes * (part == "hold"))
            found.setdefault(part, {})[kind.name] = result
            tell(f"\n{part}, {kind.name}  ({time.monotonic() - began:.0f} s)", options)
            for line in result.lines:
                tell(f"  {line}", options)
        if part == "start":
            compare(found[part])
    return found


def ignore_closed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """aiortc's own tasks trip over a connection that has been closed; nobody waits for them."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


async def attempt(part: Part, kind: Kind, seconds: float) -> Found:
    """A part of one server; one that fails must not take the others with it."""
    try:
        async with asyncio.timeout(seconds):
            return await part(kind)
    except Exception as error:
        return Found(lines=[f"failed: {type(error).__name__}: {error}"], data={"error": repr(error)})


def tell(line: str, options: argparse.Namespace) -> None:
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


def table(found: dict[str, dict[str, Found]]) -> list[str]:
    """The figures of all servers side by side."""
    servers = list(dict.fromkeys(server for by_server in found.values() for server in by_server))
    rows: list[list[str]] = [["", *servers]]
    for by_server in found.values():
        for name in dict.fromkeys(name for result in by_server.values() for name in result.summary):
            rows.append([name, *(by_server[s].summary.get(name, "-") if s in by_server else "-" for s in servers)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def about() -> dict[str, object]:
    """The machine and the versions."""
    packages = ("livekit-agents", "aiortc", "av", "aiohttp", "numpy")
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--servers", default="story,livekit", help=", ".join(SERVERS))
    parser.add_argument("--parts", default=PARTS, help=f"{PARTS}; hold, loss")
    parser.add_argument("--turns", type=int, default=16, help="of latency, barge and each line of loss")
    parser.add_argument("--acks", type=int, help="how many acknowledgements and coughs; by default all")
    parser.add_argument("--pauses", type=int, default=20, help="how many sentences with a pause")
    parser.add_argument("--pause", type=float, default=0.7, help="its length, seconds")
    parser.add_argument("--seed", type=int, default=5, help="of where the pauses are")
    parser.add_argument("--handoffs", type=int, default=15)
    parser.add_argument("--calls", default="1,4,6,8,10,12,14,16", help="of load, in this order")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=30.0, help="of hold")
    parser.add_argument("--pipecat", metavar="PYTHON", help="the Python of an environment with Pipecat")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the servers' logs there")
    parser.add_argument("--json", action="store_true", help="print JSON with every turn; the text goes to stderr")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    machine = about()
    tell(" ".join(f"{name}={value}" for name, value in machine.items()), options)
    if float(str(machine["load"])) > QUIET_LOAD:
        tell("WARNING: this machine has other work to do: its load average is over 1, and the figures suffer", options)
    with tempfile.TemporaryDirectory(prefix="story-web-") as scratch:
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

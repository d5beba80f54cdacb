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
             caller speaks, and the latency of the answer.
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
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.web_calls.acks import PROMPT, acks  # noqa: E402
from benchmarks.web_calls.breaking_in import barge  # noqa: E402
from benchmarks.web_calls.caller import on_loopback  # noqa: E402
from benchmarks.web_calls.comparison import PART_SECONDS, Comparison, Part, parser  # noqa: E402
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
OTHERS = ("hold", "loss")


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


def ignore_closed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """aiortc's own tasks trip over a connection that has been closed; nobody waits for them."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def arguments() -> argparse.Namespace:
    made = parser(__doc__, servers=SERVERS, parts=PARTS, others=OTHERS)
    made.add_argument("--calls", default="1,4,6,8,10,12,14,16", help="of load, in this order")
    made.add_argument("--minutes", type=float, default=30.0, help="of hold")
    made.add_argument("--pipecat", metavar="PYTHON", help="the Python of an environment with Pipecat")
    return made.parse_args()


def main() -> int:
    options = arguments()
    kinds = [kind_of(name, options) for name in options.servers.split(",")]

    def parts(place: Place) -> dict[str, Part]:
        on_loopback()
        asyncio.get_running_loop().set_exception_handler(ignore_closed)
        return parts_of(options, place, callers())

    longer = {"hold": PART_SECONDS + 60 * options.minutes}
    return Comparison(kinds, parts, compare, longer).run(options)


if __name__ == "__main__":
    sys.exit(main())

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

`end`        from the end of the last call to that of the worker, which was told to end (SIGTERM) while it lasted.

`story` has a thread for each call, `story-process` a process. `livekit` is the plain worker that goes by silence alone
and lets callers break in at once, `livekit-defaults` leaves livekit's options alone; both have a process for each call,
`livekit-thread` a thread.

All default parts take some 20 minutes a worker, on a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # not the folder of this file, where livekit would be this file

from benchmarks.room_calls.servers import livekit, story  # noqa: E402
from benchmarks.room_calls.starting import compare, cost, end, join, start  # noqa: E402
from benchmarks.web import parts_of  # noqa: E402
from benchmarks.web_calls.comparison import Comparison, Part, parser  # noqa: E402
from benchmarks.web_calls.figures import Found  # noqa: E402
from benchmarks.web_calls.servers import Kind, Place, stand, vendors  # noqa: E402
from benchmarks.web_calls.sound import Clip, callers, heard  # noqa: E402

SERVERS = ("story", "story-process", "livekit", "livekit-defaults", "livekit-thread")
PARTS = "start,join,latency,barge,pauses,acks,handoff,cost,end"
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

    async def of_end(kind: Kind) -> Found:
        async with vendors(place, known) as url:
            return await end(kind, place, url, options.starts)

    shared = {name: shared[name] for name in SHARED}
    return {"start": of_start, "join": of_join, **shared, "cost": of_cost, "end": of_end}


def arguments() -> argparse.Namespace:
    made = parser(__doc__, servers=SERVERS, parts=PARTS)
    made.add_argument("--joins", type=int, default=10)
    made.add_argument("--calls", default="1,4,8,12", help="of cost, in this order")
    return made.parse_args()


def main() -> int:
    options = arguments()
    kinds = [kind_of(name) for name in options.servers.split(",")]
    return Comparison(kinds, lambda place: room_parts(options, place, callers()), compare, {}).run(options)


if __name__ == "__main__":
    sys.exit(main())

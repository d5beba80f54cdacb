"""`story bench` itself: what it adds to a turn, what calls at the same time do to one another, how long a matrix takes.

    python benchmarks/bench.py [--only overhead parallel matrix] [--pairs 4] [--json]

The vendors are emulated; nothing else may run on the machine.

`overhead`   the same recorded caller with the same stack under `story call` and under `story bench`, one after the
             other, each in a process of its own: response latencies read from the recordings that both make of both
             sides, and the difference of each turn in a pair. Profile `baseline`. The recordings are exact to 10 ms.
`parallel`   eight cells one at a time, and the same eight at once (or as many as the bench then allows itself): by how
             much the medians of the latency and of its stages shift. Profile `baseline`.
`matrix`     how long 3 x 3 x 3 stacks and a realtime model take with three callers, at `instant`, with the bench's own
             concurrency.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.web_calls.comparison import about  # noqa: E402
from story.bench.ear import PAUSE_SECONDS, loudness, stretches  # noqa: E402
from story.transports.sound import read_recording  # noqa: E402

CALLERS = ROOT / "tests" / "callers"
CALLER = "maria"
TURNS = 3
STACK = "deepgram+gpt4o-mini+cartesia"
VENDORS = ["--emulate", "--brain", "script", "--speech", "tones"]
TURN_GAP = 1.2
"""Silence of the caller's that no line has inside it, seconds."""
MATRIX = {
    "--stt": "deepgram,flux,cartesia/ink-2",
    "--llm": "gpt4o-mini,openai/gpt-4.1,openai/responses/gpt-4o",
    "--tts": "cartesia,elevenlabs,deepgram",
    "--realtime": "openai-realtime",
}


def main() -> int:
    options = arguments()
    found: dict[str, Any] = {"about": about()}
    tell(" ".join(f"{name}={value}" for name, value in found["about"].items()))
    with tempfile.TemporaryDirectory(prefix="story-bench-") as folder:
        for name, part in (("overhead", overhead), ("parallel", parallel), ("matrix", matrix)):
            if name in options.only:
                found[name] = part(options, Path(folder))
    if options.json:
        print(json.dumps(found))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["overhead", "parallel", "matrix"])
    parser.add_argument("--pairs", type=int, default=4, help="of overhead")
    parser.add_argument("--json", action="store_true", help="print JSON; the text goes to stderr")
    return parser.parse_args()


def overhead(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What the bench adds to a turn."""
    pairs = [(under_call(folder / f"call-{number}.wav"), under_bench(folder / f"bench-{number}"))
             for number in range(options.pairs)]  # fmt: skip
    there = [(call, bench) for turns in pairs for call, bench in zip(*turns, strict=True)]
    calls, benches = zip(*there, strict=True)
    added = [bench - call for call, bench in there]
    tell(f"\noverhead: {len(there)} turns each")
    tell(f"  under story call, p50    {ms(statistics.median(calls))}")
    tell(f"  under story bench, p50   {ms(statistics.median(benches))}")
    tell(f"  added to a turn          p50 {ms(statistics.median(added))}, mean {ms(statistics.mean(added))}")
    return {"call": calls, "bench": benches}


def under_call(recording: Path) -> list[float]:
    """The latencies of the caller's turns in a call."""
    words = ["call", *(str(CALLERS / CALLER / f"turn{number + 1}.wav") for number in range(TURNS))]
    words += ["--out", str(recording), "--intro-stack", STACK, "--story-stack", STACK, "--profile", "baseline"]
    run([*words, *VENDORS, "--heard", str(CALLERS / "callers.json")])
    return latencies(recording)


def under_bench(folder: Path) -> list[float]:
    """The same of a cell, held in a process as new as that of a call."""
    held = bench(folder, "--stacks", STACK, "--scenario", CALLER, "--profile", "baseline", "--warm-up", "0", "--record",
                 "--heard", str(CALLERS / "callers.json"))  # fmt: skip
    (cell,) = held["calls"]
    return latencies(folder / "recordings" / cell["recording"])


def latencies(recording: Path) -> list[float]:
    """From the caller's last sound to the agent's next, turn by turn, seconds."""
    caller, agent = read_recording(recording)
    lines = stretches(loudness(caller), gap=TURN_GAP, threshold=0.01)
    answers = stretches(loudness(agent), gap=PAUSE_SECONDS)
    if len(lines) != TURNS:
        raise RuntimeError(f"{recording} has {len(lines)} turns of the caller, not {TURNS}")
    return [min(one.start for one in answers if one.start > line.end) - line.end for line in lines]


def parallel(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What calls at the same time do to one another."""
    runs = {
        at_once: bench(folder / f"at-once-{at_once}", "--stacks", STACK, "--scenario", CALLER, "--repetitions", "8",
                       "--profile", "baseline", "--concurrency", str(at_once))
        for at_once in (1, 8)
    }  # fmt: skip
    alone, together = (figures(runs[at_once]) for at_once in (1, 8))
    tell("\nparallel: p50 of eight cells one at a time, and all at once")
    for name, seconds in alone.items():
        shift = f"{together[name] / seconds - 1:+.1%}" if seconds else "-"
        tell(f"  {name:<10} {ms(seconds):>9} {ms(together[name]):>9}  {shift}")
    for line in runs[8]["told"]:
        if "at a time" in line or "late" in line:
            tell(f"  it said: {line}")
    return {"alone": alone, "together": together}


def figures(held: Mapping[str, Any]) -> dict[str, float]:
    """The medians of a run's turns: latency, and the stages that take time."""
    turns = [turn for call in held["calls"] for turn in call["turns"] if turn["latency"] is not None]
    found = {"latency": statistics.median(turn["latency"] for turn in turns)}
    for stage in ("stt", "turn", "llm", "tts", "line"):
        found[stage] = statistics.median(turn["stages"].get(stage, 0.0) for turn in turns)
    return found


def matrix(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """How long a whole matrix takes."""
    words = [word for pair in MATRIX.items() for word in pair]
    began = time.monotonic()
    held = bench(folder / "matrix", *words, "--profile", "instant")
    minutes = (time.monotonic() - began) / 60
    calls = held["calls"]
    good = sum(call["status"] == "ok" for call in calls)
    tell(f"\nmatrix: {len(held['stacks'])} stacks, {len(calls)} calls, {good} of them as they should be")
    tell(f"  {minutes:.1f} min; {sum(call['duration'] for call in calls) / 60:.0f} min of calls")
    for call in calls:
        if call["status"] != "ok":
            tell(f"  {call['stack']} / {call['scenario']}: {call['kind']}: {call['reason']}")
    return {"minutes": minutes, "calls": len(calls), "ok": good}


def bench(folder: Path, *words: str) -> dict[str, Any]:
    """A run, as JSON; `told`: what it said meanwhile."""
    told = run(["bench", *words, *VENDORS, "--out", str(folder)])
    found: dict[str, Any] = json.loads(run(["bench", "report", str(folder), "--json"], of="stdout"))
    return {**found, "told": told.splitlines()}


def run(words: Sequence[str], of: str = "stderr") -> str:
    """`story` with these words; what it said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "story", *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"story {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return str(getattr(done, of))


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def tell(line: str) -> None:
    print(line, file=sys.stderr if "--json" in sys.argv else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Whole storyteller calls on this machine's models: latency, facts, memory, and what a second recogniser hears.

    python benchmarks/local_calls.py [--runs 5] [--callers maria john emma barge] [--keep FOLDER] [--json]

Each call is `story call` with the recorded turns of a caller of tests/callers. Latency is read from the recording of
both sides, which has one clock: from the caller's last sound to the agent's next, the handoff included; a turn that
breaks into the agent's speech counts from its own end. Memory is the proportional share (PSS) of the command and its
model process, sampled four times a second. Word errors are those of whisper tiny.en on the agent's side.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.hearing import AGENT, CALLER, WHISPER_RATE, channel, transcribe, word_errors, words  # noqa: E402

CALLERS = ROOT / "tests" / "callers"
FACTS = json.loads((CALLERS / "callers.json").read_text())
BARGE_IN = {"barge": ["--barge-in", "2:5"]}
FRAME = WHISPER_RATE // 100
LOUD = 0.004
"""Root mean square above which 10 ms are sound; the recordings' silence is digital."""
PAUSE_SECONDS = 1.5
"""A shorter silence inside a caller's turn is a pause, not its end."""


@dataclass
class Result:
    """One call."""

    caller: str
    ended: dict[str, Any]
    latencies: list[float]
    handoff_gaps: list[float]
    tools: list[tuple[str, dict[str, Any]]]
    errors: int
    spoken: int
    peak_mb: float
    faults: list[str] = field(default_factory=list)


def stretches(sound: np.ndarray, gap: float) -> list[tuple[float, float]]:
    """Start and end (seconds) of each stretch of sound; silences shorter than `gap` seconds belong to it."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > LOUD)
    found: list[tuple[float, float]] = []
    for index in loud:
        start, end = index / 100, (index + 1) / 100
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def latencies(recording: Path) -> list[float]:
    """For each caller turn, seconds from its last sound to the agent's next sound."""
    agent = stretches(channel(recording, AGENT), gap=0.05)
    found = []
    for _, end in stretches(channel(recording, CALLER), gap=PAUSE_SECONDS):
        after = [start for start, _ in agent if start >= end]
        if after:
            found.append(after[0] - end)
    return found


class MemoryWatch(threading.Thread):
    """The peak of the proportional set size (MB) of a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self.peak = 0.0

    def run(self) -> None:
        while not self._stopped.wait(0.25):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    total += process.memory_full_info().pss
            except psutil.Error:
                continue
            self.peak = max(self.peak, total / 1e6)

    def stop(self) -> float:
        self._stopped.set()
        self.join()
        return self.peak


def run(caller: str, folder: Path, number: int) -> Result:
    """Hold one call."""
    out = folder / f"{caller}-{number}.wav"
    turns = [str(CALLERS / turn["file"]) for turn in FACTS[caller]["turns"]]
    command = [sys.executable, "-m", "story", "call", *turns, "--out", str(out), "--json", *BARGE_IN.get(caller, [])]
    with (folder / f"{caller}-{number}.jsonl").open("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.DEVNULL, cwd=ROOT)
        memory = MemoryWatch(process.pid)
        memory.start()
        process.wait()
        peak = memory.stop()
        told.seek(0)
        events = [json.loads(line) for line in told]
    turns_said = [event["text"] for event in events if event["type"] == "agent_turn"]
    said, heard = words(" ".join(turns_said)), words(transcribe(channel(out, AGENT)))
    return Result(
        caller=caller,
        ended=next(event for event in events if event["type"] == "call_ended"),
        latencies=latencies(out),
        handoff_gaps=[event["gap"] for event in events if event["type"] == "handoff"],
        tools=[(event["name"], event["arguments"]) for event in events if event["type"] == "tool_call"],
        errors=word_errors(said, heard),
        spoken=len(said),
        peak_mb=peak,
    )


def faults(result: Result) -> list[str]:
    """What is wrong with a call, beside its speed."""
    expected = {key: FACTS[result.caller][key] for key in ("name", "location")}
    found = []
    if result.ended["data"] != expected:
        found.append(f"gathered {result.ended['data']}, not {expected}")
    if result.ended["reason"] != "finished":
        found.append(f"ended as {result.ended['reason']}")
    names = [name for name, _ in result.tools]
    if names != ["information_gathered", "story_finished"]:
        found.append(f"called {names}")
    lines = words(" ".join(turn["text"] for turn in FACTS[result.caller]["turns"]))
    for name, arguments in result.tools:
        unsaid = [word for value in arguments.values() for word in words(str(value)) if word not in lines]
        if unsaid:
            found.append(f"{name} was given {unsaid}, which nobody said")
    return found


def percentile(values: list[float], share: float) -> float:
    return float(np.percentile(values, share)) if values else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--callers", nargs="+", default=list(FACTS))
    parser.add_argument("--keep", type=Path, help="keep recordings and events here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    packages = ("livekit-agents", "xllamacpp", "moonshine-voice", "hibari-tts")
    machine = {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
    print(" ".join(f"{key}={value}" for key, value in machine.items()), file=sys.stderr)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(options.runs):
            for caller in options.callers:
                result = run(caller, folder, number)
                result.faults = faults(result)
                results.append(result)
                told = " ".join(f"{seconds:.2f}" for seconds in result.latencies)
                print(f"{caller:6} {told} s, {result.peak_mb:.0f} MB {'; '.join(result.faults)}", file=sys.stderr)
    every = [seconds for result in results for seconds in result.latencies]
    figures = {
        **machine,
        "calls": len(results),
        "turns": len(every),
        "latency_p50": round(percentile(every, 50), 3),
        "latency_p95": round(percentile(every, 95), 3),
        "handoff_p50": round(statistics.median(g for r in results for g in r.handoff_gaps or [float("nan")]), 3),
        "right": sum(not result.faults for result in results),
        "word_error_rate": round(sum(r.errors for r in results) / max(1, sum(r.spoken for r in results)), 4),
        "peak_mb": round(max(result.peak_mb for result in results)),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

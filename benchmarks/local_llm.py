"""How well the on-device language model notes facts and hears the end of a story, and how fast it is.

    python benchmarks/local_llm.py [--part dev|held_out|callers|speed|all] [--url URL --token TOKEN]

Without --url the model process is started as in a call. Says machine and versions first; every wrong line is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import statistics
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from livekit.agents import llm

from story.core.personas import load_chain
from story.providers.local import grounding, process, prompt
from story.providers.local.completion import Connect, Engine, Request
from story.providers.local.harness import Harness
from story.providers.local.history import History
from story.providers.local.llm import MODEL, LocalLLM
from story.providers.local.prompt import Turn
from story.providers.local.wanted import Wanted, from_schema

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "benchmarks" / "data"


def tools() -> dict[str, Wanted]:
    """The tools of tools.toml, as the provider reads them from a schema."""
    found: dict[str, Wanted] = {}
    for name, table in tomllib.loads((DATA / "tools.toml").read_text()).items():
        properties = {
            key: {"type": "string", "description": value} if isinstance(value, str) else value
            for key, value in table["arguments"].items()
        }
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
        found[name] = from_schema({"name": name, "description": table["description"], "parameters": parameters})
    return found


def story_finished() -> Wanted:
    exit_ = load_chain(ROOT / "story" / "personas" / "storyteller.toml").personas["story"].then[0]
    return Wanted(exit_.tool, exit_.description)


def is_right(known: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    if set(known) != set(expected):
        return False
    for name, value in expected.items():
        if isinstance(value, str):
            if grounding.normal(str(known[name])) not in [grounding.normal(reading) for reading in value.split("|")]:
                return False
        elif known[name] != value:
            return False
    return True


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def seconds(values: Sequence[float]) -> str:
    return f"median {statistics.median(values):.2f} s, p95 {percentile(values, 0.95):.2f} s"


async def facts(harness: Harness, cases: Sequence[Mapping[str, object]], title: str) -> None:
    """Say each case's lines one by one; what is known after the last must be right, and no call may come early."""
    known_tools = tools()
    await harness.prefill([known_tools[name] for name in dict.fromkeys(str(case["tool"]) for case in cases)])
    right, times = 0, []
    for case in cases:
        tool = known_tools[str(case["tool"])]
        expected, lines = case["known"], case["said"]
        assert isinstance(expected, dict) and isinstance(lines, list)
        turns: list[Turn] = []
        called = False
        for line in lines:
            turns.append(Turn("caller", str(line)))
            began = time.perf_counter()
            decision = await harness.decide([tool], History("", tuple(turns), "", (), answered=False))
            times.append(time.perf_counter() - began)
            called = decision.call is not None
            turns.append(Turn("agent", "I see."))
        states, _ = await harness.follow(tool, turns)
        known = states[max(states)]
        good = is_right(known, expected) and called == (len(expected) == len(tool.required))
        right += good
        if not good:
            print(f"  wrong: {tool.tool} {lines} -> {known}, expected {expected}")
    print(f"{title}: facts right in {right} of {len(cases)} dialogues; a pass takes {seconds(times)}")


async def endings(harness: Harness, lines: Mapping[str, Sequence[str]], title: str) -> None:
    """Which lines end the story."""
    tool, times = story_finished(), []
    await harness.prefill([tool])
    wrong = {"end": 0, "go_on": 0}
    for kind in wrong:
        for line in lines[kind]:
            began = time.perf_counter()
            decision = await harness.decide([tool], History("", (Turn("caller", line),), "", (), answered=False))
            times.append(time.perf_counter() - began)
            if (decision.call is None) == (kind == "end"):
                wrong[kind] += 1
                print(f"  wrong: {line!r} taken for {'going on' if kind == 'end' else 'the end'}")
    missed = f"{wrong['end']} of {len(lines['end'])} ends missed"
    print(f"{title}: {missed}, {wrong['go_on']} of {len(lines['go_on'])} false; a pass takes {seconds(times)}")


def recorded() -> tuple[list[dict[str, object]], dict[str, list[str]]]:
    """The callers of tests/callers: what they say until both facts are out, and what they say to the story."""
    dialogues: list[dict[str, object]] = []
    lines: dict[str, list[str]] = {"end": [], "go_on": []}
    for caller in json.loads((ROOT / "tests" / "callers" / "callers.json").read_text()).values():
        said = [turn["text"] for turn in caller["turns"]]
        upto = next(n for n in range(1, len(said) + 1) if caller["location"] in " ".join(said[:n]))
        known = {"name": caller["name"], "location": caller["location"]}
        dialogues.append({"tool": "information_gathered", "said": said[:upto], "known": known})
        lines["end"].append(said[-1])
        lines["go_on"] += said[upto:-1]
    return dialogues, lines


async def speed(engine: Engine, connect: Connect) -> None:
    """First token of a warm reply, and tokens a second."""
    chain = load_chain(ROOT / "story" / "personas" / "storyteller.toml")
    persona = chain.personas["story"]
    head = prompt.head(persona.fixed_instructions)
    began = time.perf_counter()
    slot = await engine.read_ahead(head)
    print(
        f"speed: instructions ({prompt.size(head)} tokens or fewer) in memory after {time.perf_counter() - began:.2f} s"
    )
    text = f"{head} Maria, from Lisbon.<|im_end|>\n<|im_start|>user\nPlease begin.<|im_end|>\n<|im_start|>assistant\n"
    firsts, rates = [], []
    for _ in range(5):
        began, pieces = time.perf_counter(), 0
        async for _piece in engine.complete(Request(text, slot, max_tokens=48, temperature=0.6)):
            pieces += 1
            if pieces == 1:
                first = time.perf_counter() - began
        firsts.append(first)
        rates.append((pieces - 1) / (time.perf_counter() - began - first))
    print(f"speed: warm first token {seconds(firsts)}; {statistics.median(rates):.1f} tokens/s")
    await whole_turns(connect)


async def whole_turns(connect: Connect) -> None:
    """From a caller's finished text to the reply's first words and first sentence, in a conversation."""
    chain = load_chain(ROOT / "story" / "personas" / "storyteller.toml")
    persona = chain.personas["story"]
    model = LocalLLM(connect=connect, seed=1)
    tool = llm.function_tool(
        _nothing, raw_schema={"name": "story_finished", "description": persona.then[0].description, "parameters": {}}
    )
    await model.prefill(persona.fixed_instructions, [tool])
    context = llm.ChatContext.empty()
    instructions = persona.filled(persona.instructions, {"name": "Maria", "location": "Lisbon"})
    context.add_message(role="system", content=instructions)
    context.add_message(
        role="assistant", content="Once upon a time, Maria found a blue boat in Lisbon. Shall she board?"
    )
    firsts, sentences = [], []
    for line in ("Yes, she does.", "What is in the boat?", "Could there be a dragon in it?", "Keep going, please."):
        context.add_message(role="user", content=line)
        began, said, sentence = time.perf_counter(), "", 0.0
        first = 0.0
        async with model.chat(chat_ctx=context, tools=[tool]) as stream:
            async for chunk in stream:
                if chunk.delta and chunk.delta.content:
                    first = first or time.perf_counter() - began
                    said += chunk.delta.content
                    if not sentence and any(end in said for end in ".?!"):
                        sentence = time.perf_counter() - began
        firsts.append(first)
        sentences.append(sentence)
        context.add_message(role="assistant", content=said)
        print(f"  {line!r} -> {said!r}")
    print(f"turns: first word {seconds(firsts)}; first sentence {seconds(sentences)}")
    await model.aclose()


async def _nothing(raw_arguments: dict[str, object]) -> None:
    """Stands for a tool that this benchmark never runs."""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="all", choices=["dev", "held_out", "callers", "speed", "all"])
    parser.add_argument("--url")
    parser.add_argument("--token", default="")
    options = parser.parse_args()

    async def connect() -> process.Endpoint:
        return process.Endpoint(options.url, options.token) if options.url else await process.connect(MODEL)

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("xllamacpp", "livekit-agents"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {load:.1f}")
    print(f"Python {platform.python_version()}, {versions}")
    parts = ["dev", "held_out", "callers", "speed"] if options.part == "all" else [options.part]
    slot_cases = tomllib.loads((DATA / "slots.toml").read_text())
    end_cases = tomllib.loads((DATA / "endings.toml").read_text())
    async with Engine(connect) as engine:
        harness = Harness(engine)
        for part in parts:
            if part == "speed":
                await speed(engine, connect)
            elif part == "callers":
                dialogues, lines = recorded()
                await facts(harness, dialogues, part)
                await endings(harness, lines, part)
            else:
                await facts(harness, slot_cases[part], part)
                await endings(harness, end_cases[part], part)
    if not options.url:
        await process.shutdown()


if __name__ == "__main__":
    asyncio.run(main())

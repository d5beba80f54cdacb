"""Prompts in ChatML, the format this model was trained on: what never changes first, so that it is read only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

SPOKEN_RULES = (
    "You are speaking with a caller on the phone. Speak plain English in short sentences, as people talk: "
    "no lists, no markdown, no emojis, no stage directions. Say only your own words, never the caller's. "
    "Always take up what the caller said last: when the caller wants something else, change it at once."
)

END_OF_TURN = "<|im_end|>"
CONTROL_TOKENS = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")

# English in this model's vocabulary has some 4.5 characters a token; names and other languages have fewer.
_CHARACTERS_PER_TOKEN = 3.5
_TURN_TOKENS = 5

Speaker = Literal["caller", "agent"]


@dataclass(frozen=True)
class Turn:
    """What one side said until the other spoke. `note` is for the model's eyes: what is known, what is missing."""

    speaker: Speaker
    text: str
    note: str = ""


@dataclass(frozen=True)
class Prompt:
    """A conversation up to where the agent is to speak.

    instructions: the persona's. now: what it is told for this very reply, after everything said so far.
    opening: words the reply begins with.
    """

    instructions: str
    turns: tuple[Turn, ...] = ()
    now: str = ""
    opening: str = ""


def head(instructions: str) -> str:
    """How every prompt of a persona begins, whose instructions begin with `instructions`."""
    return f"<|im_start|>system\n{SPOKEN_RULES}\n{clean(instructions).strip()}"


def render(prompt: Prompt) -> str:
    """The prompt as the model reads it."""
    parts = [head(prompt.instructions), END_OF_TURN]
    for turn in prompt.turns:
        role = "user" if turn.speaker == "caller" else "assistant"
        note = f"\n[{turn.note}]" if turn.note else ""
        parts.append(f"\n<|im_start|>{role}\n{clean(turn.text).strip()}{note}{END_OF_TURN}")
    if prompt.now:
        parts.append(f"\n<|im_start|>system\n{clean(prompt.now).strip()}{END_OF_TURN}")
    parts.append(f"\n<|im_start|>assistant\n{prompt.opening}")
    return "".join(parts)


def fit(prompt: Prompt, tokens: int) -> Prompt:
    """Leave out the oldest turns of `prompt` until it takes about `tokens` at most.

    What is left out goes in large steps, so that the turns after it keep their place, and with it the engine's
    memory of them, for many turns to come. The last turn always stays, shortened at its beginning if need be.
    """
    turns = prompt.turns
    if _size(prompt) <= tokens:
        return prompt
    step = 8
    left = (len(turns) - 1) // step * step
    for cut in range(step, left + 1, step):
        shorter = replace(prompt, turns=turns[cut:])
        if _size(shorter) <= tokens:
            return shorter
    for cut in range(left, len(turns)):
        shorter = replace(prompt, turns=turns[cut:])
        if _size(shorter) <= tokens:
            return shorter
    room = int((tokens - _size(replace(prompt, turns=()))) * _CHARACTERS_PER_TOKEN)
    if turns and room > 0:
        return replace(prompt, turns=(replace(turns[-1], text=turns[-1].text[-room:]),))
    instructions = prompt.instructions[: int(tokens * _CHARACTERS_PER_TOKEN / 2)]
    return replace(prompt, instructions=instructions, now=prompt.now[-200:], turns=())


def size(text: str) -> int:
    """About how many tokens `text` takes; rather too many than too few."""
    wide = sum(1 for character in text if not character.isascii())
    return int((len(text) - wide) / _CHARACTERS_PER_TOKEN) + 2 * wide + 1


def _size(prompt: Prompt) -> int:
    turns = sum(size(turn.text + turn.note) + _TURN_TOKENS for turn in prompt.turns)
    return size(head(prompt.instructions)) + turns + size(prompt.now) + 2 * _TURN_TOKENS


def clean(text: str) -> str:
    """`text` without the model's control tokens, which nobody may smuggle in, and without surrogate halves."""
    for token in CONTROL_TOKENS:
        text = text.replace(token, " ")
    return text.replace("<|", "< |").encode(errors="replace").decode()


def conversation(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Turns in which caller and agent alternate: what one side said in several goes is one turn."""
    joined: list[Turn] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        if joined and joined[-1].speaker == turn.speaker:
            joined[-1] = replace(joined[-1], text=f"{joined[-1].text.strip()} {turn.text.strip()}")
        else:
            joined.append(turn)
    return tuple(joined)

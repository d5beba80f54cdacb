"""Ears: recorded clips are known however they come, other sound is not taken for them."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from story.core.errors import ConfigError
from story.emulator.audio import Format, chunks, decode, encode, from_logarithmic, resample
from story.emulator.ears import ClipEars, Lines, load_clips
from story.emulator.hearing import Ended, Going, Listener, Paused, Transcript, Utterance, transcribe

CALLERS = Path(__file__).parents[1] / "callers"
TEXTS = {
    turn["file"]: turn["text"]
    for facts in json.loads((CALLERS / "callers.json").read_text()).values()
    for turn in facts["turns"]
}
CLIPS = load_clips(CALLERS / "callers.json")
UNKNOWN = "(unknown)"


class Deaf:
    """Makes out nothing, and says so."""

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Deaf:
        return self

    def feed(self, pcm: bytes, loudness: object) -> None:
        pass

    async def so_far(self, at: float) -> Transcript:
        return Transcript()

    async def if_ended(self, end: float) -> Transcript:
        return Transcript()

    async def final(self, end: float) -> Transcript:
        from story.emulator.hearing import Word

        return Transcript((Word(UNKNOWN, 0, 0),))

    def abandon(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def recording(name: str) -> tuple[bytes, int]:
    return decode((CALLERS / name).read_bytes())


async def heard(pcm: bytes, rate: int, *, silence: float = 0.2) -> tuple[list[str], list[tuple[float, str]]]:
    """The finals, and the interims with their times, of sound in chunks of 50 ms."""
    listener = Listener(ClipEars(CLIPS, unknown=Deaf()), rate, silence=silence)
    finals, interims = [], []
    for chunk in chunks(pcm + bytes(2 * rate), 2 * (rate // 20)):
        for event in listener.feed(chunk):
            if isinstance(event, Ended):
                finals.append((await event.utterance.final(event.end)).text)
            elif isinstance(event, Going):
                interims.append((event.at, (await event.utterance.so_far(event.at)).text))
    return finals, interims


def quiet(pcm: bytes, rate: int) -> tuple[bytes, int]:
    return (np.frombuffer(pcm, "<i2") * 0.25).astype("<i2").tobytes(), rate


def noisy(pcm: bytes, rate: int) -> tuple[bytes, int]:
    samples = np.frombuffer(pcm, "<i2") + np.random.default_rng(1).normal(0, 60, len(pcm) // 2)
    return samples.astype("<i2").tobytes(), rate


CHANGES: dict[str, Callable[[bytes, int], tuple[bytes, int]]] = {
    "8 kHz": lambda pcm, rate: (resample(pcm, rate, 8_000), 8_000),
    "16 kHz": lambda pcm, rate: (resample(pcm, rate, 16_000), 16_000),
    "48 kHz": lambda pcm, rate: (resample(pcm, rate, 48_000), 48_000),
    "16 kHz at 24 kHz": lambda pcm, rate: (resample(resample(pcm, rate, 16_000), 16_000, 24_000), 24_000),
    "8 kHz at 16 kHz": lambda pcm, rate: (resample(resample(pcm, rate, 8_000), 8_000, 16_000), 16_000),
    "opus": lambda pcm, rate: decode(encode(pcm, rate, Format("opus"))),
    "mulaw": lambda pcm, rate: (from_logarithmic(encode(pcm, rate, Format("mulaw", 8_000)), "mulaw"), 8_000),
    "quiet": quiet,
    "noisy": noisy,
    "padded": lambda pcm, rate: (bytes(rate) + pcm, rate),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_clip_is_known_however_it_comes(change: str) -> None:
    for name, text in TEXTS.items():
        pcm, rate = CHANGES[change](*recording(name))
        finals, _ = await heard(pcm, rate)
        assert " ".join(finals) == text, name


async def test_a_clip_is_known_without_its_beginning() -> None:
    for name, text in TEXTS.items():
        pcm, rate = recording(name)
        finals, _ = await heard(pcm[2 * (rate * 3 // 10) :], rate, silence=1.0)
        known = " ".join(finals)
        assert known in ("", UNKNOWN) or text.endswith(known), name


async def test_a_pause_inside_a_clip_ends_an_utterance() -> None:
    pcm, rate = recording("barge/turn2.wav")
    finals, _ = await heard(pcm, rate)
    assert finals == ["Wait, wait. Please stop.", "Can the hero be a cat instead?"]


@pytest.mark.parametrize("name", sorted(TEXTS))
async def test_what_would_be_the_final_is_known_in_every_pause(name: str) -> None:
    pcm, rate = recording(name)
    listener = Listener(ClipEars(CLIPS, unknown=Deaf()), rate, silence=60.0, pause=0.2)
    asked: list[str] = []
    for chunk in chunks(pcm + bytes(2 * rate), 2 * (rate // 20)):
        for event in listener.feed(chunk):
            if isinstance(event, Paused):
                asked.append((await event.utterance.if_ended(event.end)).text)
    (ended,) = listener.flush()
    assert isinstance(ended, Ended)
    assert asked[-1] == (await ended.utterance.if_ended(ended.end)).text == TEXTS[name]
    assert (await ended.utterance.final(ended.end)).text == TEXTS[name]
    assert all(later.startswith(text) for text, later in pairwise(asked))


async def test_interims_grow_and_hold_what_has_been_said() -> None:
    pcm, rate = recording("emma/turn1.wav")
    _, interims = await heard(pcm, rate)
    texts = [text for _, text in interims]
    assert all(later.startswith(text) for text, later in pairwise(texts))
    words = next(clip.words for clip in CLIPS if clip.name == "emma/turn1.wav")
    for at, text in interims:
        late = [word.text for word in words if word.end > at - 0.15 + 0.05]
        assert text.split() == [word.text for word in words][: len(text.split())]
        assert len(text.split()) <= len(words) - len(late)
    assert all(b - a == pytest.approx(0.25, abs=0.011) for (a, _), (b, _) in pairwise(interims))


async def test_other_sound_is_left_to_the_recogniser() -> None:
    for path in sorted((CALLERS / "ack").glob("*.wav")):
        finals, interims = await heard(*decode(path.read_bytes()))
        assert set(finals) <= {UNKNOWN}, path.name
        assert not any(text for _, text in interims), path.name


async def test_a_whole_recording() -> None:
    pcm, rate = recording("maria/turn1.wav")
    assert (await transcribe(ClipEars(CLIPS, unknown=Deaf()), pcm, rate)).text == TEXTS["maria/turn1.wav"]


async def test_lines_come_in_order_and_over_again() -> None:
    lines = Lines(["One two.", "Three."])
    texts = [(await lines.listen(16_000, 0.0).final(1.0)).text for _ in range(3)]
    assert texts == ["One two.", "Three.", "One two."]
    assert (await lines.listen(16_000, 2.0).so_far(2.5)).text == "Three."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("{}", "names no clips"),
        ('{"turns": [{}]}', "has no `file`"),
        ('{"turns": [{"file": "x.wav"}]}', "has no `words`"),
        ('{"turns": [{"file": "x.wav", "words": [["a", 1]]}]}', "not of the form"),
        ('{"turns": [{"file": "x.wav", "words": [["a", 1, 2], ["b", 0, 1]]}]}', "not in the order"),
        ('{"turns": [{"file": "x.wav", "words": []}]}', "can't be read: No such file"),
        ('{"turns": [{"file": ".", "words": []}]}', "can't be read: Is a directory"),
        ('{"turns": [{"file": "\\u0000", "words": []}]}', "can't be read"),
        ('{"turns": [{"file": "x.wav", "words": [["a", 0, 1e99]]}]}', "not of the form"),
        ('{"turns": [{"file": "x.wav", "words": [["a", 0, ' + "9" * 400 + "]]}]}", "not of the form"),
        ('{"turns": [{"file": "x.wav", "words": [["a", NaN, 1]]}]}', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('[{"turns": [{}]}]', "has no `file`"),
    ],
)
def test_a_bad_list_of_clips_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clips.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_clips(path)


def test_a_list_of_clips_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "clips.json").write_bytes(b'{"turns": "\xe9"}')
    with pytest.raises(ConfigError, match=r"clips\.json: not UTF-8"):
        load_clips(tmp_path / "clips.json")


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [(0, 16_000, "too short"), (3_999, 16_000, "too short"), (800, 40, "40 samples a second")],
)
def test_a_clip_that_can_t_be_recognised(tmp_path: Path, samples: int, rate: int, message: str) -> None:
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * samples))
    (tmp_path / "clips.json").write_text('{"turns": [{"file": "x.wav", "words": []}]}')
    with pytest.raises(ConfigError, match=rf"x\.wav .*{message}"):
        load_clips(tmp_path / "clips.json")


def test_a_recording_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no sound")
    (tmp_path / "clips.json").write_text('{"turns": [{"file": "x.wav", "words": []}]}')
    with pytest.raises(ConfigError, match=r"x\.wav can't be read"):
        load_clips(tmp_path / "clips.json")

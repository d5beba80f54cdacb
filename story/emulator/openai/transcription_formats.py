"""The words of a recording as Whisper's API writes them: with segments and times, or as subtitles."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from story.emulator.hearing import Transcript, Word

PAUSE_SECONDS = 0.5
"""Between two words, from which a new segment begins; it does after a sentence, too."""
_SENTENCE_ENDS = (".", "?", "!")
_LANGUAGES = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "ru": "russian",
    "tr": "turkish",
    "uk": "ukrainian",
    "zh": "chinese",
}
"""As Whisper calls some of those that it knows."""
_SURE = -0.2
"""The average logarithm of a word's probability; an emulated recogniser has no doubts to tell of."""


@dataclass(frozen=True)
class Recognised:
    """What was heard in a recording. seconds: its length. language: as asked for, or English."""

    heard: Transcript
    seconds: float
    language: str

    def verbose(self, granularities: Sequence[str]) -> dict[str, object]:
        """`verbose_json`, with the times asked for ("word", "segment")."""
        told: dict[str, object] = {
            "task": "transcribe",
            "language": _LANGUAGES.get(self.language, self.language),
            "duration": round(self.seconds, 2),
            "text": self.heard.text,
        }
        if "segment" in granularities:
            told["segments"] = [_segment(number, part) for number, part in enumerate(self._segments())]
        if "word" in granularities:
            told["words"] = [
                {"word": word.text, "start": round(word.start, 2), "end": round(word.end, 2)}
                for word in self.heard.words
            ]
        return told

    def diarized(self) -> list[dict[str, object]]:
        """The segments of `diarized_json`; all are of one speaker, whom the vendor calls A."""
        return [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03}",
                "start": round(part.words[0].start, 2),
                "end": round(part.words[-1].end, 2),
                "text": f" {part.text}",
                "speaker": "A",
            }
            for number, part in enumerate(self._segments())
        ]

    def plain(self, format: str) -> str:
        """`text`, `srt` or `vtt`."""
        if format == "text":
            return self.heard.text + "\n"
        mark = "," if format == "srt" else "."
        cues = [
            f"{_clock(part.words[0].start, mark)} --> {_clock(part.words[-1].end, mark)}\n{part.text}\n"
            for part in self._segments()
        ]
        if format == "srt":
            return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, 1))
        return "\n".join(["WEBVTT\n", *cues])

    def _segments(self) -> list[Transcript]:
        parts: list[list[Word]] = []
        for word in self.heard.words:
            last = parts[-1][-1] if parts else None
            if last is None or last.text.endswith(_SENTENCE_ENDS) or word.start - last.end >= PAUSE_SECONDS:
                parts.append([])
            parts[-1].append(word)
        return [Transcript(tuple(part)) for part in parts]


def _segment(number: int, part: Transcript) -> dict[str, object]:
    written = part.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(part.words[0].start, 2),
        "end": round(part.words[-1].end, 2),
        "text": f" {part.text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _SURE,
        "compression_ratio": len(written) / len(zlib.compress(written)),
        "no_speech_prob": 0.0,
    }


def _clock(seconds: float, mark: str) -> str:
    """hours:minutes:seconds and, behind `mark`, milliseconds."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{milliseconds:03}"

"""When the emulated vendors heard, were asked and spoke, on the caller's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

TRIES = 7


@dataclass(frozen=True)
class Mark:
    """what: stt (final words sent), llm (asked), tts (first sound of an answer sent), connect (a realtime model's
    handshake asked for), respond (it is asked to speak), realtime (its first sound sent). at: monotonic seconds."""

    at: float
    what: str
    text: str = ""


class Journal:
    """The emulator's log at `url`. Its clock is compared with ours by a request that both sides time."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http
        self._offset = 0.0

    async def set_clock(self) -> None:
        """Compare the clocks; the quickest of some tries counts."""
        quickest = float("inf")
        for _ in range(TRIES):
            began = time.monotonic()
            async with self._http.get(f"{self._url}/v1/models", headers={"Authorization": "Bearer any"}) as response:
                await response.read()
            ended = time.monotonic()
            noted = max(entry["t"] for entry in await self._entries() if entry["kind"] == "request")
            if ended - began < quickest:
                quickest = ended - began
                self._offset = (began + ended) / 2 - noted

    async def empty(self) -> None:
        async with self._http.delete(f"{self._url}/emulator/log"):
            pass

    async def marks(self, since: float = 0.0) -> list[Mark]:
        """What happened from `since` (monotonic seconds) on, in order."""
        found: list[Mark] = []
        begun: set[object] = set()
        for entry in await self._entries(max(0.0, since - self._offset)):
            mark = _mark(entry, begun)
            if mark is not None:
                found.append(Mark(entry["t"] + self._offset, *mark))
        return found

    async def _entries(self, since: float = 0.0) -> list[dict]:
        async with self._http.get(f"{self._url}/emulator/log", params={"since": f"{since:.4f}"}) as response:
            return await response.json()


def _mark(entry: Mapping, begun: set[object]) -> tuple[str, str] | None:
    """What an entry of the log means, if anything. begun: the answers whose first sound has been sent."""
    content = entry["content"] if isinstance(entry["content"], dict) else {}
    found: tuple[str, str] | None = None
    match entry["endpoint"], entry["kind"], content.get("type"):
        case "listen", "sent", "Results" if content["is_final"]:
            text = content["channel"]["alternatives"][0]["transcript"]
            found = ("stt", text) if text else None
        case "chat", "request", _:
            found = "llm", ""
        case "tts", "sent", "chunk" if _first(content.get("context_id"), begun):
            found = "tts", ""
        case "realtime", "request", _:
            found = "connect", ""
        case "realtime", "received", "response.create":
            found = "respond", ""
        case "realtime", "sent", "response.output_audio.delta" if _first(content.get("response_id"), begun):
            found = "realtime", ""
    return found


def _first(name: object, begun: set[object]) -> bool:
    if name in begun:
        return False
    begun.add(name)
    return True


def last(marks: Sequence[Mark], what: str, before: float, after: float) -> float | None:
    """The last mark of a kind before one time and after another."""
    return _pick(marks, what, lambda mark: after < mark.at <= before, -1)


def first(marks: Sequence[Mark], what: str, before: float, after: float) -> float | None:
    """The first one."""
    return _pick(marks, what, lambda mark: after < mark.at <= before, 0)


def _pick(marks: Sequence[Mark], what: str, fits: Callable[[Mark], bool], place: int) -> float | None:
    found = [mark.at for mark in marks if mark.what == what and fits(mark)]
    return found[place] if found else None

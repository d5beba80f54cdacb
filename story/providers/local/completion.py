"""Talks to llama.cpp's HTTP server: prompts in, text out as it is written. Dropping a stream stops the engine."""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Protocol

import aiohttp

from story.providers.local.llama import SLOTS

# The engine answers at once when it has a token, but a cold prompt on a busy machine takes its time.
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=120)


class Endpoint(Protocol):
    """Where the engine is served: `url` without a trailing slash, and the headers that let us in."""

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


Connect = Callable[[], Awaitable[Endpoint]]


class EngineError(Exception):
    """The engine can't be reached (`status` None) or refused a request."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One completion. `grammar` is GBNF; `slot` says which of the engine's prompts this one continues."""

    prompt: str
    slot: int
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    grammar: str | None = None
    seed: int | None = None
    likeliest: int = 0

    def body(self) -> dict[str, object]:
        sampling: dict[str, object] = {"temperature": self.temperature, "top_p": 0.9, "min_p": 0.05, "top_k": 40}
        if self.temperature > 0:
            # A small model likes to tell the same again: DRY makes every repeated stretch of words less likely.
            sampling |= {"repeat_penalty": 1.05, "repeat_last_n": 128}
            sampling |= {"dry_multiplier": 0.6, "dry_allowed_length": 7, "dry_penalty_last_n": 1024}
        if self.seed is not None:
            sampling["seed"] = self.seed
        if self.grammar is not None:
            sampling["grammar"] = self.grammar
        if self.likeliest:
            sampling["n_probs"] = self.likeliest
        return sampling | {
            "prompt": self.prompt,
            "id_slot": self.slot,
            "cache_prompt": True,
            "n_predict": self.max_tokens,
            "stop": list(self.stop),
            "stream": True,
            "timings_per_token": True,
        }


@dataclass(frozen=True)
class Counts:
    """Tokens of one completion: read anew, taken from the slot's memory, written."""

    read: int = 0
    cached: int = 0
    written: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.read + other.read, self.cached + other.cached, self.written + other.written)


@dataclass
class Completion:
    """The text of a running completion, piece by piece; `counts` is complete once it has ended.

    first: the likeliest first tokens and their probabilities, where the request wanted them.
    """

    pieces: AsyncGenerator[str, None]
    first: dict[str, float] = field(default_factory=dict)
    counts: Counts = field(default=Counts())

    def __aiter__(self) -> AsyncIterator[str]:
        return self.pieces


class SlotTable:
    """Which prompt each slot of the engine has read: a prompt that begins like an earlier one continues it there."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._heads: OrderedDict[str, int] = OrderedDict()

    def slot(self, prompt: str, head: str) -> int:
        """The slot whose head `prompt` begins with; without one, a slot for prompts that begin with `head`."""
        heads = [known for known in self._heads if prompt.startswith(known)]
        return self.register(max(heads, key=len, default=head))

    def register(self, head: str) -> int:
        """A slot for prompts that begin with `head`; the one unused for longest is taken over."""
        if head not in self._heads:
            taken = set(self._heads.values())
            free = next((slot for slot in range(self._slots) if slot not in taken), None)
            self._heads[head] = self._heads.popitem(last=False)[1] if free is None else free
        self._heads.move_to_end(head)
        return self._heads[head]


@cache
def slot_table(url: str) -> SlotTable:
    """The table of the engine at `url`: all its users in this process share one, or they would undo each other."""
    return SlotTable()


@cache
def _engine_version() -> str:
    """What is saved by one version of the engine is not read by another."""
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return ""


class Engine:
    """A connection to the engine, opened on first use and opened again when the engine has moved."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._endpoint: Endpoint | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Have the engine loaded. Raises StoryError if it can't be."""
        await self._opened()

    async def slots(self) -> SlotTable:
        endpoint, _ = await self._opened()
        return slot_table(endpoint.url)

    async def read_ahead(self, head: str) -> int:
        """Have `head` in a slot's memory and return the slot; from the disk where it was read before."""
        endpoint, session = await self._opened()
        slot = slot_table(endpoint.url).register(head)
        name = f"{hashlib.sha256(f'{_engine_version()} {head}'.encode()).hexdigest()[:32]}.kv"
        if not await self._slot_action(session, endpoint, slot, "restore", name):
            async for _ in self.complete(Request(prompt=head, slot=slot, max_tokens=0)):
                pass
            await self._slot_action(session, endpoint, slot, "save", name)
        return slot

    async def _slot_action(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, slot: int, action: str, name: str
    ) -> bool:
        url = f"{endpoint.url}/slots/{slot}"
        with suppress(aiohttp.ClientError):
            async with session.post(url, params={"action": action}, json={"filename": name}) as response:
                return response.status == 200
        return False

    def complete(self, request: Request) -> Completion:
        """Start a completion; nothing is sent before the first piece is asked for. Raises EngineError."""
        completion = Completion(pieces=_nothing())
        completion.pieces = self._stream(request, completion)
        return completion

    async def text(self, request: Request) -> tuple[str, Counts]:
        """The whole of a completion at once."""
        completion = self.complete(request)
        return "".join([piece async for piece in completion]), completion.counts

    async def first(self, request: Request) -> tuple[dict[str, float], Counts]:
        """The likeliest first tokens of a completion and their probabilities, before any grammar."""
        completion = self.complete(replace(request, max_tokens=1, likeliest=20))
        async for _ in completion:
            pass
        return completion.first, completion.counts

    async def _stream(self, request: Request, completion: Completion) -> AsyncGenerator[str, None]:
        endpoint, session = await self._opened()
        try:
            async with session.post(f"{endpoint.url}/completion", json=request.body()) as response:
                if response.status != 200:
                    raise EngineError(_reason(await response.text()), response.status)
                async with aclosing(_events(response.content)) as events:
                    async for event in events:
                        if not completion.first:
                            completion.first = _likeliest(event)
                        if piece := event.get("content"):
                            yield str(piece)
                        completion.counts = _counts(event) or completion.counts
        except (TimeoutError, aiohttp.ClientError) as error:
            self._endpoint = None  # the next request asks again where the engine is
            raise EngineError(f"the on-device language model does not answer: {error}") from error

    async def _opened(self) -> tuple[Endpoint, aiohttp.ClientSession]:
        if self._endpoint is None or self._session is None:
            endpoint = await self._connect()
            await self.aclose()
            # The engine closes a connection once it has answered; one kept open would fail the next request.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(headers=endpoint.headers, timeout=_TIMEOUT, connector=connector)
            self._endpoint = endpoint
        return self._endpoint, self._session

    async def aclose(self) -> None:
        session, self._session, self._endpoint = self._session, None, None
        if session is not None:
            await session.close()


async def _nothing() -> AsyncGenerator[str, None]:
    return
    yield


async def _events(stream: aiohttp.StreamReader) -> AsyncGenerator[dict[str, object], None]:
    """The JSON objects of a server-sent event stream."""
    async for line in stream:
        kind, _, value = line.decode().partition(":")
        if kind == "error":
            raise EngineError(_reason(value))
        if kind == "data" and value.strip() != "[DONE]":
            event = json.loads(value)
            if isinstance(event, dict):
                if "error" in event:
                    raise EngineError(_reason(value))
                yield event


def _likeliest(event: Mapping[str, object]) -> dict[str, float]:
    try:
        tokens = event["completion_probabilities"][0]["top_logprobs"]  # type: ignore[index]
        return {str(token["token"]): math.exp(float(token["logprob"])) for token in tokens}
    except (KeyError, IndexError, TypeError, ValueError):
        return {}


def _counts(event: Mapping[str, object]) -> Counts | None:
    timings = event.get("timings")
    if not isinstance(timings, dict):
        return None
    return Counts(
        read=int(timings.get("prompt_n", 0)),
        cached=int(timings.get("cache_n", 0)),
        written=int(timings.get("predicted_n", 0)),
    )


def _reason(body: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return body.strip()[:200] or "no reason given"

"""Live stacks: from resolved models to livekit-agents objects, and the end of every one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from story.core.errors import MissingPackageError, StackError, StoryError
from story.core.fallbacks import Switch, adapter_for
from story.core.models import noise_canceller, turn_detection_mode, wrong_type
from story.core.redact import redact
from story.core.registry import ModelFactory, ModelOptions, Progress, Registry, Role
from story.core.requirements import require
from story.core.resolved import ResolvedRef, ResolvedStack
from story.core.settings import Settings

if TYPE_CHECKING:
    from livekit.agents import llm, stt, tts, vad
    from livekit.agents.voice.turn import TurnDetectionMode

    from story.core.models import NoiseCancellation

CLOSE_SECONDS = 5.0
"""A model that takes longer to close is left to itself: a vendor's socket must not keep the call from ending."""

UNADAPTED = frozenset({Role.VAD, Role.TURN_DETECTOR, Role.NOISE_CANCELLATION})

log = logging.getLogger("story.stacks")


class LiveStack:
    """The models of one stack, built. Equal only to itself.

    stt, tts, vad, turn_detection, noise_cancellation: None where the stack has none. llm: a language model, or a
    realtime model that hears and speaks as well. Where a role has fallbacks, the object is livekit's adapter around
    them. models: every model itself, in place of an adapter those inside it.
    """

    def __init__(
        self,
        *,
        llm: llm.LLM[Any] | llm.RealtimeModel | None = None,
        stt: stt.STT[Any] | None = None,
        tts: tts.TTS[Any] | None = None,
        vad: vad.VAD | None = None,
        turn_detection: TurnDetectionMode | None = None,
        noise_cancellation: NoiseCancellation | None = None,
        refs: Sequence[tuple[object, ResolvedRef]] = (),
        closing: AsyncExitStack | None = None,
    ) -> None:
        self.llm = llm
        self.stt = stt
        self.tts = tts
        self.vad = vad
        self.turn_detection = turn_detection
        self.noise_cancellation = noise_cancellation
        given = (stt, llm, tts, vad, turn_detection, noise_cancellation)
        self.models: tuple[object, ...] = tuple(model for model, _ in refs) or tuple(m for m in given if m is not None)
        self._refs = tuple(refs)
        self._closing = closing or AsyncExitStack()
        if closing is None:
            for model in self.models:
                _close_later(self._closing, model)

    @property
    def realtime(self) -> bool:
        """Whether the llm is a realtime model."""
        from livekit.agents.llm import RealtimeModel

        return isinstance(self.llm, RealtimeModel)

    @property
    def leading(self) -> tuple[object, ...]:
        """The models without the fallbacks: of each role the one that is asked first."""
        first: dict[Role, object] = {}
        for model, ref in self._refs:
            first.setdefault(ref.role, model)
        return tuple(first.values()) or self.models

    def ref(self, model: object) -> ResolvedRef | None:
        """What the stack says about one of `models`."""
        return next((ref for known, ref in self._refs if known is model), None)

    async def aclose(self) -> None:
        """Close every model, once, however often this is called. A model that fails to close is only logged."""
        await self._closing.aclose()


def prepare(
    stack: ResolvedStack,
    registry: Registry,
    settings: Settings,
    progress: Progress,
    *,
    roles: Collection[Role] | None = None,
) -> None:
    """Fetch what the models need on this machine (weights). May take minutes, so not for an event loop's thread.

    Raises:
        StoryError: it can't be had.
    """
    for ref in stack.refs_for(roles):
        factory = registry.factory(ref.role, ref.provider)
        if factory is not None and factory.prepare is not None:
            try:
                factory.prepare(ref.model_options(factory, settings), progress)
            except StoryError:
                raise
            except Exception as error:
                raise _failure(ref, "can't be prepared", error, settings) from None


async def build(
    stack: ResolvedStack,
    registry: Registry,
    settings: Settings,
    *,
    roles: Collection[Role] | None = None,
    on_switch: Callable[[Switch], None] | None = None,
) -> LiveStack:
    """Build the models of a stack. Call it on the main thread, in the event loop that will use them.

    roles: those to build (a text conversation needs `{Role.LLM}` alone); all by default. on_switch: called when a
    model of a fallback chain takes over from another.

    Raises:
        StackError: a key or package is missing, or a model can't be built; what was built by then is closed.
    """
    require(stack, registry, settings, roles=roles)
    if stack.realtime and roles is not None and Role.REALTIME not in roles:
        raise StackError(f"{stack} has no model for text alone: its realtime model needs sound", spec=stack.text)
    async with AsyncExitStack() as closing:
        built = _Built(registry, settings, closing, half_cascade=stack.realtime and stack.choice(Role.TTS) is not None)
        # The vad first: an adapter around recognisers that don't stream needs it.
        for role in sorted(Role, key=lambda role: role is not Role.VAD):
            if roles is None or role in roles:
                built.add(stack, role, on_switch)
        return built.live()


class _Built:
    """What has been built so far."""

    def __init__(self, registry: Registry, settings: Settings, closing: AsyncExitStack, *, half_cascade: bool) -> None:
        self._registry = registry
        self._settings = settings
        self._closing = closing
        self._half_cascade = half_cascade
        self._refs: list[tuple[object, ResolvedRef]] = []
        self._by_role: dict[Role, object] = {}

    def add(self, stack: ResolvedStack, role: Role, on_switch: Callable[[Switch], None] | None) -> None:
        choice = stack.choice(role)
        if choice is None:
            return
        if role in UNADAPTED:
            self._by_role[role] = self._first_that_builds(choice.refs)
            return
        built = [(self._model(ref), ref) for ref in choice.refs]
        if len(built) == 1:
            self._by_role[role] = built[0][0]
            return
        try:
            adapter = adapter_for(role, built, self._by_role.get(Role.VAD), self._settings, on_switch)
        except ValueError as error:  # livekit finds that these can't stand in for one another
            message = f"{choice} can't be one fallback chain: {redact(str(error), self._settings)}"
            raise choice.refs[0].error(message) from None
        self._by_role[role] = adapter
        if role is not Role.REALTIME:  # that adapter would close its models a second time
            _close_later(self._closing, adapter)

    def live(self) -> LiveStack:
        """The stack, which from now on closes the models."""
        from livekit.agents import llm, stt, tts, vad

        by_role = self._by_role
        hearing, speaking, voice = by_role.get(Role.STT), by_role.get(Role.TTS), by_role.get(Role.VAD)
        thinking = by_role.get(Role.LLM) or by_role.get(Role.REALTIME)
        return LiveStack(
            llm=thinking if isinstance(thinking, llm.LLM | llm.RealtimeModel) else None,
            stt=hearing if isinstance(hearing, stt.STT) else None,
            tts=speaking if isinstance(speaking, tts.TTS) else None,
            vad=voice if isinstance(voice, vad.VAD) else None,
            turn_detection=turn_detection_mode(by_role.get(Role.TURN_DETECTOR)),
            noise_cancellation=noise_canceller(by_role.get(Role.NOISE_CANCELLATION)),
            refs=self._refs,
            closing=self._closing.pop_all(),
        )

    def _first_that_builds(self, refs: Sequence[ResolvedRef]) -> object:
        """livekit has no adapter for this role, so a fallback can only stand in from the start."""
        for ref in refs[:-1]:
            try:
                return self._model(ref)
            except StackError as error:
                log.warning("%s", error)
        return self._model(refs[-1])

    def _model(self, ref: ResolvedRef) -> object:
        factory = self._registry.factory(ref.role, ref.provider)
        if factory is None:  # `require` has asked
            raise ref.error(f"no plugin offers {ref.provider} for {ref.role}")
        try:
            with self._settings.exported():
                model = factory.build(self._options(ref, factory))
        except Exception as error:  # whatever a vendor's constructor finds wrong is the user's to mend
            raise self._failure(ref, factory, error) from None
        self._refs.append((model, ref))
        _close_later(self._closing, model)
        if wanted := wrong_type(ref.role, model):
            raise ref.error(f"{ref.provider} {ref.role}: its plugin built a {type(model).__name__}, not {wanted}")
        return model

    def _options(self, ref: ResolvedRef, factory: ModelFactory) -> ModelOptions:
        options = ref.model_options(factory, self._settings)
        if self._half_cascade and ref.role is Role.REALTIME:
            return replace(options, extra={"modalities": ["text"], **options.extra})
        return options

    def _failure(self, ref: ResolvedRef, factory: ModelFactory, error: Exception) -> StackError:
        text = redact(" ".join(str(error).split()), self._settings)
        what = f"{ref.provider} {ref.role}"
        if isinstance(error, ImportError):
            install = f"; pip install {factory.requires}" if factory.requires else ""
            message = f"{what} needs a package that can't be imported ({text}){install}"
            return MissingPackageError(message, spec=ref.spec, start=ref.start, end=ref.end)
        if isinstance(error, StoryError):
            return ref.error(text if text.startswith(what) else f"{what}: {text}")
        return _failure(ref, "can't be built", error, self._settings)


def _failure(ref: ResolvedRef, what: str, error: Exception, settings: Settings) -> StackError:
    text = redact(" ".join(str(error).split()), settings)
    return ref.error(f"{ref.provider} {ref.role} {what}: {type(error).__name__}{f': {text}' if text else ''}")


def _close_later(closing: AsyncExitStack, model: object) -> None:
    """Have a model closed with the rest, if it has something to close."""
    close = getattr(model, "aclose", None)
    if close is None:
        return

    async def close_quietly() -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await close()
        except Exception as error:  # the others have to be closed too
            log.warning("%s did not close: %s", type(model).__name__, type(error).__name__)

    closing.push_async_callback(close_quietly)

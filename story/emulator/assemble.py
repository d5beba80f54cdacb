"""From the options of `story emulate` to an emulator: its brain, ears, voice, latencies and faults."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.core.plugins import Plugins
from story.core.registry import Role
from story.core.resolved import ResolvedStack
from story.core.settings import Settings
from story.emulator.brain import Brain, Voice
from story.emulator.ears import ClipEars, Lines, RecognisedEars, load_clips
from story.emulator.emulation import Emulation
from story.emulator.faults import Faults, parse_fault
from story.emulator.hearing import Ears
from story.emulator.journal import Journal
from story.emulator.latency import Latencies, load_profile
from story.emulator.local import LocalBrain, LocalVoice
from story.emulator.script import BUILT_IN, Script, ScriptBrain, load_script
from story.emulator.server import Emulator
from story.emulator.tones import Tones
from story.emulator.vendors import VENDORS

LOCAL, SCRIPT, TONES, NOTHING = "local", "script", "tones", "none"


@dataclass(frozen=True)
class Options:
    """What the user asks of an emulator.

    brain: "local", "script" (the built-in one), or a script's file. heard: a file of recorded clips, "none" for the
    script's own lines, None for the on-device recogniser. speech: "local" or "tones". keys: those that are valid,
    none for any.
    """

    brain: str = LOCAL
    heard: str | None = None
    speech: str = LOCAL
    profile: str = "instant"
    faults: Sequence[str] = ()
    keys: Sequence[str] = ()
    seed: int = 0

    @property
    def needs_language_model(self) -> bool:
        return self.brain == LOCAL

    @property
    def takes_cores(self) -> bool:
        """Whether models of this machine answer or speak, which take all of its cores."""
        return LOCAL in (self.brain, self.speech)


def is_emulated(stack: ResolvedStack, roles: Collection[Role]) -> bool:
    """Whether a model of the stack in one of these roles is an emulated vendor's."""
    emulated = {vendor.name for vendor in VENDORS}
    return any(ref.provider in emulated for ref in stack.refs_for(roles))


def assemble(options: Options, plugins: Plugins, settings: Settings) -> Emulation:
    """What the endpoints of an emulator share. Nothing is loaded yet.

    Raises:
        ConfigError: an option that means nothing, or a file that can't be used.
    """
    script = None if options.brain == LOCAL else load_script(_script_path(options.brain))
    if options.speech not in (LOCAL, TONES):
        hint = did_you_mean(options.speech, (LOCAL, TONES), otherwise=f"; there are {LOCAL} and {TONES}")
        raise ConfigError(f"unknown speech {options.speech!r}{hint}")
    known = {vendor.name: tuple(endpoint.name for endpoint in vendor.endpoints) for vendor in VENDORS}
    faults = [parse_fault(text, known) for text in options.faults]
    profile = load_profile(options.profile)
    ears = _ears(options.heard, script, plugins, settings)
    brain: Brain = LocalBrain(plugins, settings) if script is None else ScriptBrain(script)
    voice: Voice = Tones() if options.speech == TONES else LocalVoice(plugins, settings)
    return Emulation(
        brain=brain,
        voice=voice,
        ears=ears,
        latencies=Latencies(profile, seed=options.seed),
        faults=Faults(faults, seed=options.seed),
        journal=Journal(keys=tuple(options.keys)),
        keys=frozenset(options.keys),
    )


def emulator(emulation: Emulation, *, host: str = "127.0.0.1", port: int = 0) -> Emulator:
    """A server of all vendors, not listening yet."""
    return Emulator(emulation, VENDORS, host=host, port=port)


def pretend_keys(settings: Settings) -> Settings:
    """Settings in which every emulated vendor has a key, none of them real."""
    variables = {name: f"emulated-{vendor.name}" for vendor in VENDORS for name in vendor.keys}
    providers = {vendor.name: {"key_env": vendor.keys[0]} for vendor in VENDORS}
    return settings.with_overrides(env=variables, providers=providers)


def redirected(settings: Settings, url: str) -> Settings:
    """Settings in which every emulated vendor is reached at `url`, with a key that is none."""
    providers = {vendor.name: {"base_url": url + vendor.base_path} for vendor in VENDORS}
    return pretend_keys(settings).with_overrides(providers=providers)


def _script_path(brain: str) -> Path:
    if brain == SCRIPT:
        return BUILT_IN
    path = Path(brain)
    if path.suffix == ".toml" or path.is_file():
        return path
    hint = did_you_mean(brain, (LOCAL, SCRIPT), otherwise=f"; write {LOCAL}, {SCRIPT}, or the TOML file of a script")
    raise ConfigError(f"unknown brain {brain!r}{hint}")


def _ears(heard: str | None, script: Script | None, plugins: Plugins, settings: Settings) -> Ears:
    if heard == NOTHING:
        if script is None or not script.lines:
            raise ConfigError("--heard none takes the caller's lines from a script: name one with --brain")
        return Lines(script.lines)
    recogniser = RecognisedEars(plugins, settings)
    return recogniser if heard is None else ClipEars(load_clips(Path(heard)), unknown=recogniser)

"""Which stacks are compared: the product of the roles, each realtime model, and stacks named whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean

ROLES = ("stt", "llm", "tts", "realtime")


@dataclass(frozen=True)
class Rule:
    """Choices by role, as they stand in the matrix; it meets a stack that has all of them."""

    choices: Mapping[str, str]

    def meets(self, choices: Mapping[str, str]) -> bool:
        return all(choices.get(role) == choice for role, choice in self.choices.items())


@dataclass(frozen=True)
class Matrix:
    """stt, llm, tts: the choices for a role, each with each. realtime: models, or half-cascades, each a stack alone.
    stacks: whole specs. exclude: products that are left out. include: where there are any, all others are."""

    stt: tuple[str, ...] = ()
    llm: tuple[str, ...] = ()
    tts: tuple[str, ...] = ()
    realtime: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    exclude: tuple[Rule, ...] = ()
    include: tuple[Rule, ...] = ()

    def specs(self) -> tuple[str, ...]:
        """The stacks, each once, in the grammar of docs/stacks.md.

        Raises:
            ConfigError: nothing is left.
        """
        products = [specs for specs in self._products() if self._wanted(specs)]
        named = ["+".join(f"{role}={choice}" for role, choice in choices.items()) for choices in products]
        found = tuple(dict.fromkeys([*named, *self.stacks]))
        if not found:
            asked = any((self.stt, self.llm, self.tts, self.realtime))
            why = "the rules leave no stack" if asked else "there is nothing to compare"
            raise ConfigError(f"{why}: name --stt, --llm, --tts, --realtime or --stacks (`story providers` lists them)")
        return found

    def _products(self) -> list[dict[str, str]]:
        given = {role: getattr(self, role) for role in ("stt", "llm", "tts") if getattr(self, role)}
        pipelines = [dict(zip(given, choices, strict=True)) for choices in itertools.product(*given.values())]
        return [*(pipelines if given else []), *({"realtime": model} for model in self.realtime)]

    def _wanted(self, choices: Mapping[str, str]) -> bool:
        if any(rule.meets(choices) for rule in self.exclude):
            return False
        return not self.include or any(rule.meets(choices) for rule in self.include)


def choices_of(text: str) -> tuple[str, ...]:
    """The choices of an option, "deepgram,cartesia/ink-2": split at commas outside double quotes."""
    found, part, quoted = [], "", False
    for char in text:
        quoted ^= char == '"'
        if char == "," and not quoted:
            found.append(part)
            part = ""
        else:
            part += char
    return tuple(choice.strip() for choice in [*found, part] if choice.strip())


def rule_of(text: str) -> Rule:
    """A rule of the command line, "stt=local,tts=elevenlabs". Raises ConfigError."""
    choices: dict[str, str] = {}
    for part in choices_of(text):
        role, equals, choice = part.partition("=")
        if not equals or not choice.strip():
            raise ConfigError(f"{text!r} is no rule: write ROLE=CHOICE, as in stt=local,tts=elevenlabs")
        choices[_role(role.strip())] = choice.strip()
    if not choices:
        raise ConfigError("an empty rule: write ROLE=CHOICE, as in stt=local,tts=elevenlabs")
    return Rule(choices)


def rule_from(choices: Mapping[str, object]) -> Rule:
    """A rule of a file. Raises ConfigError."""
    return Rule({_role(role): str(choice) for role, choice in choices.items()})


def _role(name: str) -> str:
    if name not in ROLES:
        hint = did_you_mean(name, ROLES, otherwise=f"; one of {', '.join(ROLES)}")
        raise ConfigError(f"unknown role {name!r}{hint}")
    return name


def check_known(rules: Sequence[Rule], matrix: Matrix) -> None:
    """Raise ConfigError for a rule that names a choice which the matrix does not have: it would do nothing."""
    for rule in rules:
        for role, choice in rule.choices.items():
            there: tuple[str, ...] = getattr(matrix, role)
            if choice not in there:
                hint = did_you_mean(choice, there, otherwise=f"; it has {', '.join(there) or 'none'}")
                raise ConfigError(f"a rule names {role}={choice}, which the matrix does not have{hint}")

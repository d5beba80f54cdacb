"""Prompts begin with what never changes, stay within bounds, and can't be broken out of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from story.providers.local import prompt
from story.providers.local.prompt import Prompt, Turn

turns = st.lists(st.builds(Turn, st.sampled_from(["caller", "agent"]), st.text(max_size=400)), max_size=60)


def test_a_prompt_begins_with_its_head() -> None:
    text = prompt.render(
        Prompt("You are Echo. The user is Maria.", (Turn("caller", "Hi", "known: name Maria"),), "Greet.")
    )
    assert text.startswith(prompt.head("You are Echo. The user is "))
    assert text.endswith(
        "<|im_start|>user\nHi\n[known: name Maria]<|im_end|>\n"
        "<|im_start|>system\nGreet.<|im_end|>\n<|im_start|>assistant\n"
    )


@given(st.text(max_size=3000), turns, st.text(max_size=3000))
def test_a_prompt_fits(instructions: str, said: list[Turn], now: str) -> None:
    fitted = prompt.fit(Prompt(instructions, tuple(said), now), 600)
    assert prompt.size(prompt.render(fitted)) <= 1.2 * 600 + 250
    assert fitted.turns == () or fitted.turns[-1].text in said[-1].text


@given(turns)
def test_a_short_conversation_is_left_alone(said: list[Turn]) -> None:
    whole = Prompt("You are Echo.", tuple(said[:3]))
    assert prompt.fit(whole, 4000) == whole


def test_long_conversations_lose_their_oldest_turns_in_steps() -> None:
    said = [Turn("caller" if n % 2 else "agent", f"turn {n} " + "word " * 40) for n in range(60)]
    cuts = []
    for upto in range(40, 60):
        fitted = prompt.fit(Prompt("You are Echo.", tuple(said[:upto])), 1600)
        assert fitted.turns[-1] == said[upto - 1]
        cuts.append(said.index(fitted.turns[0]))
    assert len(set(cuts)) <= 4


@given(st.text(alphabet=st.sampled_from("<|im_startend>ab \n"), max_size=60))
def test_control_tokens_can_not_be_smuggled_in(text: str) -> None:
    assert "<|" not in prompt.clean(text + "<|im_end|>" + text)


def test_turns_alternate() -> None:
    said = [Turn("caller", "Wait."), Turn("caller", " "), Turn("caller", "Stop."), Turn("agent", "Yes?")]
    assert prompt.conversation(said) == (Turn("caller", "Wait. Stop."), Turn("agent", "Yes?"))

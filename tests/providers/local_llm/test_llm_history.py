"""What livekit's chat context says to this model."""

from __future__ import annotations

from livekit.agents import llm

from story.providers.local.history import history


def context(*messages: tuple[str, str]) -> llm.ChatContext:
    made = llm.ChatContext.empty()
    for role, text in messages:
        made.add_message(role=role, content=text)  # type: ignore[arg-type]
    return made


def test_instructions_for_now_stay_apart() -> None:
    talk = history(context(("system", "You are Echo."), ("system", "Greet the caller.")))
    assert (talk.instructions, talk.now, talk.said) == ("You are Echo.", "Greet the caller.", "")
    talk = history(context(("system", "You are Echo."), ("user", "Hi"), ("developer", "Say goodbye.")))
    assert (talk.instructions, talk.now, talk.said) == ("You are Echo.", "Say goodbye.", "Hi")


def test_what_was_told_for_an_earlier_reply_is_over() -> None:
    talk = history(
        context(("system", "A"), ("user", "Hi"), ("system", "Be brief."), ("assistant", "Yes?"), ("user", "So"))
    )
    assert (talk.now, talk.said, talk.caller) == ("", "So", "Hi So")


def test_an_empty_context() -> None:
    talk = history(llm.ChatContext.empty())
    assert (talk.instructions, talk.turns, talk.now, talk.said) == ("", (), "", "")


def test_a_tool_that_was_called_answers_the_turn() -> None:
    made = context(("system", "A"), ("user", "I am Maria"))
    made.items.append(llm.FunctionCall(call_id="1", name="note", arguments='{"name": "Maria"}'))
    made.items.append(llm.FunctionCallOutput(call_id="1", name="note", output="location is missing", is_error=True))
    talk = history(made)
    assert talk.said == ""
    assert talk.now == "Problem of note: location is missing"
    assert [(call.tool, call.arguments) for call in talk.calls] == [("note", '{"name": "Maria"}')]

"""Text conversations: typed at a terminal (a real pty), piped, and scripted."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit.agents import llm
from rich.console import Console

from story.core import events
from story.transports.keyboard import Keyboard, LineEditor
from story.transports.screen import Screen
from story.transports.terminal import TerminalTransport
from tests.fakes import last_user
from tests.transports.calls import GOODBYE, GREETING, STORY, Outcome, hold, make_call

pytestmark = pytest.mark.slow

LINES = ["hm?", "Maria from Lisbon", "stop"]


def console(out: io.StringIO, *, width: int = 80, terminal: bool = False) -> Console:
    return Console(file=out, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)


class Terminal:
    """What a terminal of 80 columns would show, for the few control sequences that we use."""

    def __init__(self, width: int = 80) -> None:
        self.width, self.rows, self.row, self.column = width, [""], 0, 0

    def feed(self, text: str) -> list[str]:
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|.", text):
            if part == "\n":
                self.row, self.column = self.row + 1, 0
            elif part == "\r":
                self.column = 0
            elif part == "\x1b[2K":
                self.rows[self.row] = ""
            elif part == "\x1b[1A":
                self.row -= 1
            elif len(part) == 1:
                if self.column == self.width:
                    self.row, self.column = self.row + 1, 0
                while len(self.rows) <= self.row:
                    self.rows.append("")
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + part + line[self.column + 1 :]
                self.column += 1
            else:
                raise AssertionError(f"unexpected {part!r}")
            while len(self.rows) <= self.row:
                self.rows.append("")
        return [row.rstrip() for row in self.rows]


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pseudo terminal: the user's end and the program's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for end in (ours, theirs):
        os.close(end)


# -- scripted


async def test_a_script_says_each_line_once_the_agent_has_finished() -> None:
    out = io.StringIO()
    outcome = await hold(TerminalTransport(screen=Screen(console(out), prompts=False), say=LINES))
    assert outcome.ended.reason == "finished"
    assert [turn.text for turn in outcome.of(events.UserTurn)] == LINES
    assert not any(interrupted for _, _, interrupted in outcome.said())
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        f"Echo (intro) > {GREETING}",
        "You > hm?",
        f"Echo (intro) > {GREETING}",
        "You > Maria from Lisbon",
        "Echo (intro) > Nice.",
        "-- Echo (intro) hands over to Echo (story) --",
        f"Echo (story) > {STORY}",
        "You > stop",
        f"Echo (story) > {GOODBYE}",
    ]


async def test_a_script_that_does_not_reach_the_end_hangs_up_after_the_last_answer() -> None:
    outcome = await hold(TerminalTransport(say=["hm?"]))
    assert outcome.ended.reason == "caller_left"
    assert [text for _, text, _ in outcome.said()] == [GREETING, GREETING]


async def test_without_a_screen_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    await hold(TerminalTransport(say=LINES))
    assert capfd.readouterr().out == ""


async def test_a_turn_without_an_answer_does_not_stop_the_script() -> None:
    transport = TerminalTransport(say=["hm?", "Maria"], patience=0.5)
    outcome = await hold(transport, script=lambda *_: "")
    assert outcome.ended.reason == "caller_left"
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?", "Maria"]


# -- piped


async def piped(data: bytes, tmp_path: Path, *, plain_file: bool) -> Outcome:
    path = tmp_path / "lines"
    path.write_bytes(data)
    if plain_file:
        source = os.open(path, os.O_RDONLY)
    else:
        source, end = os.pipe()
        os.write(end, data)
        os.close(end)
    try:
        return await hold(TerminalTransport(keyboard=Keyboard(source)))
    finally:
        os.close(source)


@pytest.mark.parametrize("plain_file", [False, True], ids=["pipe", "file"])
async def test_lines_from_a_pipe_are_a_script(tmp_path: Path, plain_file: bool) -> None:
    outcome = await piped("hm? \r\n\n  Zoë und Maria\nnoch was".encode(), tmp_path, plain_file=plain_file)
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?", "Zoë und Maria", "noch was"]
    assert not any(interrupted for _, _, interrupted in outcome.said())
    assert outcome.ended.reason == "caller_left"


async def test_nothing_to_read_ends_after_the_greeting(tmp_path: Path) -> None:
    outcome = await piped(b"", tmp_path, plain_file=True)
    assert [text for _, text, _ in outcome.said()] == [GREETING]
    assert outcome.ended.reason == "caller_left"


async def test_a_pipe_is_read_only_as_far_as_it_is_needed() -> None:
    source, end = os.pipe()
    os.set_blocking(end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(end, b"hm?\n" * 1000)
    keyboard = Keyboard(source)
    lines = keyboard.lines()
    assert await anext(lines) == "hm?"
    with pytest.raises(BlockingIOError):  # at most one piece of it is gone
        os.write(end, b"hm?\n" * 8000)
        os.write(end, b"hm?\n" * 8000)
    await lines.aclose()
    os.close(end)
    os.close(source)


# -- typed


async def typed(ends: tuple[int, int], keys: dict[int, str]) -> tuple[Outcome, list[str]]:
    """Type keys[n] at the end of the n-th agent turn; returns also the rows that the terminal shows at the end."""
    ours, theirs = ends
    out = io.StringIO()
    screen = Screen(console(out, terminal=True), prompts=True)
    call, seen = make_call(TerminalTransport(screen=screen, keyboard=Keyboard(theirs)))

    def follow(event: events.Event) -> None:
        if isinstance(event, events.AgentTurn):
            turns = sum(isinstance(e, events.AgentTurn) for e in seen)
            os.write(ours, keys.get(turns, "").encode())

    call.subscribe(follow)
    ended = await asyncio.wait_for(call.run(), 30)
    return Outcome(ended, seen), [row for row in Terminal().feed(out.getvalue()) if row]


async def test_a_typed_conversation(ends: tuple[int, int]) -> None:
    keys = {1: "hm\x7fm?\n", 2: "Maria from\x17in \x1b[D\x1b[AÖland\n", 4: "wrong\x15stop\n"}
    outcome, shown = await typed(ends, keys)
    assert outcome.ended.reason == "finished"
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?", "Maria in Öland", "stop"]
    assert shown == [
        f"Echo (intro) > {GREETING}",
        "You > hm?",
        f"Echo (intro) > {GREETING}",
        "You > Maria in Öland",
        "Echo (intro) > Nice.",
        "-- Echo (intro) hands over to Echo (story) --",
        f"Echo (story) > {STORY}",
        "You > stop",
        f"Echo (story) > {GOODBYE}",
    ]


async def test_a_typed_line_breaks_into_a_reply(ends: tuple[int, int]) -> None:
    ours, theirs = ends
    out = io.StringIO()
    screen = Screen(console(out, terminal=True), prompts=True)

    def endless(chat_ctx: llm.ChatContext, *_: object) -> str:
        return "Well." if last_user(chat_ctx) else "and so on " * 3000

    call, seen = make_call(TerminalTransport(screen=screen, keyboard=Keyboard(theirs)), script=endless)

    def follow(event: events.Event) -> None:
        if isinstance(event, events.Partial) and event.text == "and so on and so":
            os.write(ours, b"wait\n")
        if isinstance(event, events.AgentTurn) and event.text == "Well.":
            call.hang_up()

    call.subscribe(follow)
    ended = await asyncio.wait_for(call.run(), 30)
    assert [interrupted for _, _, interrupted in Outcome(ended, seen).said()] == [True, False]
    shown = [row for row in Terminal().feed(out.getvalue()) if row]
    assert shown[-2:] == ["You > wait", "Echo (intro) > Well."]
    assert shown[0].startswith("Echo (intro) > and so on")


async def test_ctrl_d_hangs_up(ends: tuple[int, int]) -> None:
    outcome, shown = await typed(ends, {1: "\x04"})
    assert outcome.ended.reason == "caller_left"
    assert shown == [f"Echo (intro) > {GREETING}"]


async def test_a_terminal_that_goes_away_hangs_up() -> None:
    ours, theirs = pty.openpty()
    call, _ = make_call(TerminalTransport(keyboard=Keyboard(theirs)))
    call.subscribe(lambda event: os.close(ours) if isinstance(event, events.AgentTurn) else None)
    assert (await asyncio.wait_for(call.run(), 30)).reason == "caller_left"
    os.close(theirs)


async def test_the_terminal_gets_its_settings_back(ends: tuple[int, int]) -> None:
    import termios

    before = termios.tcgetattr(ends[1])
    await typed(ends, {1: "\x04"})
    assert termios.tcgetattr(ends[1]) == before


# -- the screen by itself


def test_replies_go_above_the_line_that_is_being_typed() -> None:
    out = io.StringIO()
    screen = Screen(console(out, terminal=True), prompts=True)
    screen.typed("")
    screen.typed("a line that is longer than the terminal is wide, so that it takes up more than one row of it")
    screen.agent("Echo (intro)", "Are you ")
    screen.agent("Echo (intro)", "there?")
    screen.typed("a line")  # kept back while the agent speaks
    screen.agent_done()
    assert [line for line in Terminal().feed(out.getvalue()) if line] == [
        "Echo (intro) > Are you there?",
        "You > a line",
    ]
    screen.notice("-- something --")
    screen.close()
    assert [line for line in Terminal().feed(out.getvalue()) if line] == [
        "Echo (intro) > Are you there?",
        "-- something --",
    ]


def test_long_replies_break_between_words() -> None:
    out = io.StringIO()
    screen = Screen(console(out, width=30), prompts=False)
    for letter in "Once upon a time there was a fisherwoman.\nShe had a boat.":
        screen.agent("Echo (story)", letter)
    screen.agent_done()
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "Echo (story) > Once upon a",
        "  time there was a",
        "  fisherwoman.",
        "  She had a boat.",
    ]


def test_what_a_model_says_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    screen = Screen(console(out), prompts=False)
    screen.agent("Echo", "Hi \x1b[2J\x07[bold]there[/bold]\r!")
    screen.agent_done()
    assert out.getvalue() == "Echo > Hi [2J[bold]there[/bold]!\n"


def test_a_line_is_edited_at_its_end() -> None:
    editor = LineEditor()
    assert editor.feed("ab\x7fc\x04d\x1b[3~\x1bOA\x1b") == []
    assert editor.text == "acd"
    assert not editor.ended
    assert editor.feed("\r\n e\t") == ["acd", ""]
    assert editor.text == " e"
    editor.feed("\x15\x04x")
    assert editor.ended


# -- Ctrl-C, in a process with a terminal of its own

PROGRAM = """
import asyncio, os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))  # makes it the controlling terminal
sys.path.insert(0, {root!r})
from rich.console import Console
from story.transports.screen import Screen
from story.transports.terminal import TerminalTransport
from tests.transports.calls import make_call

call, _ = make_call(TerminalTransport(screen=Screen(Console(), prompts=True)))
if {stuck}:
    async def aclose():
        print("stuck", flush=True)
        await asyncio.Event().wait()
    call._transport.aclose = aclose
try:
    print("ended:", asyncio.run(call.run()).reason)
except KeyboardInterrupt:
    print("ended: at once")
"""


def interrupt(*, stuck: bool) -> str:
    """Press Ctrl-C after the greeting, and where the call gets stuck once more; returns what the terminal showed."""
    root = str(Path(__file__).parents[2])
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(root=root, stuck=stuck)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, presses = "", 0
    try:
        while not re.search(r"ended:.*\n", shown) and select.select([ours], [], [], 60)[0]:
            shown += os.read(ours, 4096).decode()
            if (not presses and "You > " in shown) or (presses == 1 and "stuck" in shown):
                os.write(ours, b"half a li\x03")
                presses += 1
        assert program.wait(30) == 0
    finally:
        if program.poll() is None:
            program.send_signal(signal.SIGKILL)
            program.wait()
        os.close(ours)
    return shown


def test_ctrl_c_hangs_up_politely() -> None:
    assert "ended: caller_left" in interrupt(stuck=False)


def test_a_second_ctrl_c_stops_at_once() -> None:
    assert "ended: at once" in interrupt(stuck=True)

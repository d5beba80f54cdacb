"""What keeps a worker from its LiveKit server is told in one line."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

Story = Callable[..., subprocess.CompletedProcess[str]]

SET = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a secret that is long enough for everyone"}
LOCAL = ("--intro-stack", "local", "--story-stack", "local")


@pytest.mark.parametrize("variables, told", [
    ({"LIVEKIT_URL": "ws://127.0.0.1:1"}, "LIVEKIT_URL is set, but not LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
    ({"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key"}, "LIVEKIT_URL is set, but not LIVEKIT_API_SECRET"),
    ({"LIVEKIT_URL": "127.0.0.1:1", **SET}, "LIVEKIT_URL is no address of a server"),
    ({"LIVEKIT_URL": "ws://127.0.0.1:1", **SET},
     "no LiveKit server answers at ws://127.0.0.1:1 (Connection refused)"),
])  # fmt: skip
def test_a_server_that_is_not_there_is_one_line(variables: dict[str, str], told: str, story: Story) -> None:
    done = story("run", *LOCAL, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"story: {told}") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [
    ["run", "--transport", "livekit"],
    ["token", "--room", "r", "--identity", "i"],
    ["dispatch", "--room", "r"],
])  # fmt: skip
def test_without_a_server_in_the_settings(command: list[str], story: Story) -> None:
    done = story(*command)
    assert done.returncode == 2
    assert done.stderr.startswith("story: no LiveKit server is named: set LIVEKIT_URL, LIVEKIT_API_KEY,")


@pytest.mark.slow
def test_a_server_that_never_answers(story: Story) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        done = story("run", *LOCAL, LIVEKIT_URL=url, **SET)
    assert done.returncode == 2
    assert done.stderr == (
        f"story: no LiveKit server answers at {url} (nothing within 6 s): start one, or correct LIVEKIT_URL\n"
    )


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_server_that_is_no_livekit(status: int, story: Story) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        Thread(target=other.serve_forever).start()
        url = f"ws://127.0.0.1:{other.server_address[1]}"
        done = story("run", *LOCAL, LIVEKIT_URL=url, **SET)
        other.shutdown()
    assert done.returncode == 2
    assert done.stderr == f"story: what answers at {url} is no LiveKit server (status {status}): correct LIVEKIT_URL\n"


def test_a_token_and_a_page_to_try_it_on(story: Story) -> None:
    import jwt

    done = story("token", "--room", "r", "--identity", "i", "--ttl", "60", LIVEKIT_URL="ws://127.0.0.1:1", **SET)
    assert done.returncode == 0, done.stderr
    assert "agents-playground.livekit.io" in done.stderr and "ws://127.0.0.1:1" in done.stderr
    claims = jwt.decode(done.stdout.strip(), SET["LIVEKIT_API_SECRET"], algorithms=["HS256"])
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["nbf"]) == ("key", "i", 60)
    assert claims["video"]["room"] == "r" and claims["video"]["roomJoin"]
    assert claims["roomConfig"]["agents"] == [{"agentName": "story"}]


def test_what_makes_no_sense_is_told_before_the_server_is_asked(story: Story) -> None:
    done = story("dispatch", "--room", "r", "--intro-stack", "gpt4o-mimi", LIVEKIT_URL="ws://127.0.0.1:1", **SET)
    assert done.returncode == 2 and done.stderr.startswith("story: unknown model 'gpt4o-mimi' (did you mean")

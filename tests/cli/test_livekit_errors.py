"""What keeps a worker from its LiveKit server is told in one line."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
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


@contextmanager
def answering(answer: Callable[[str], tuple[int, str]]) -> Iterator[str]:
    """Within the block there is a server of HTTP; host and port. answer: status and text for what is posted where."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, text = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if text.startswith("{") else "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        Thread(target=other.serve_forever).start()
        try:
            yield f"127.0.0.1:{other.server_address[1]}"
        finally:
            other.shutdown()


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_server_that_is_no_livekit(status: int, story: Story) -> None:
    with answering(lambda _: (status, "<html>hello</html>")) as place:
        url = f"ws://{place}"
        done = story("run", *LOCAL, LIVEKIT_URL=url, **SET)
    assert done.returncode == 2
    assert done.stderr == f"story: what answers at {url} is no LiveKit server (status {status}): correct LIVEKIT_URL\n"


def test_a_server_that_speaks_no_tls(story: Story) -> None:
    with answering(lambda _: (404, "")) as place:
        done = story("run", *LOCAL, LIVEKIT_URL=f"wss://{place}", **SET)
    assert done.returncode == 2
    why = f"TLS fails with it: if it speaks none, write ws://{place}"
    assert (
        done.stderr == f"story: no LiveKit server answers at wss://{place} ({why}): start one, or correct LIVEKIT_URL\n"
    )


@pytest.mark.slow
def test_a_name_server_that_never_answers(story: Story, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, threading\nsocket.getaddrinfo = lambda *_, **__: threading.Event().wait()\n"
    )
    done = story("run", *LOCAL, LIVEKIT_URL="wss://livekit.example", **SET)  # the test's patience ends before the wait
    assert done.returncode == 2
    assert done.stderr.startswith("story: no LiveKit server answers at wss://livekit.example (nothing within 6 s)")


@pytest.mark.parametrize("name", ["no.such.host.invalid", "a" * 70])
def test_a_name_that_nobody_knows(name: str, story: Story) -> None:
    done = story("run", *LOCAL, LIVEKIT_URL=f"wss://{name}", **SET)
    assert done.returncode == 2
    assert done.stderr.startswith(f"story: no LiveKit server answers at wss://{name} (")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_behind_a_proxy(story: Story) -> None:
    def proxy(url: str) -> tuple[int, str]:
        assert url.startswith("http://livekit.example:7880/twirp/livekit.")
        return (200, "{}") if url.endswith("ListRooms") else (404, '{"code": "not_found", "msg": "not by this proxy"}')

    with answering(proxy) as place:
        named = {"LIVEKIT_URL": "ws://livekit.example:7880", "HTTP_PROXY": f"http://{place}", **SET}
        done = story("dispatch", "--room", "r", **named)
        told = "story: the LiveKit server at ws://livekit.example:7880 does not send it: not by this proxy\n"
        assert (done.returncode, done.stderr) == (2, told)
        done = story("dispatch", "--room", "r", **named, NO_PROXY="livekit.example")
        assert done.returncode == 2 and "no LiveKit server answers" in done.stderr


@pytest.mark.parametrize("options, told", [
    (["--stun", "a.example:1", "--ice-address", "127.0.0.1"], "--stun, --ice-address: the way of the sound into rooms"),
    (["--turn", "a:b@c.example:1"], "--turn: the way of the sound into rooms"),
    (["--open", "--no-page"], "--open opens the page"),
])  # fmt: skip
def test_options_that_are_of_no_use_in_rooms(options: list[str], told: str, story: Story) -> None:
    done = story("run", *LOCAL, *options, LIVEKIT_URL="ws://127.0.0.1:1", **SET)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"story: {told}") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("ttl", ["inf", "nan", "1e12"])
def test_a_token_for_ever(ttl: str, story: Story) -> None:
    done = story("token", "--room", "r", "--identity", "i", "--ttl", ttl, LIVEKIT_URL="ws://127.0.0.1:1", **SET)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--ttl" in done.stderr and len(done.stderr.splitlines()) == 1


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

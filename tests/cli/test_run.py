"""`story run`, as a user types it: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Story = Callable[..., subprocess.CompletedProcess[str]]
EMULATED = ["--emulate", "--brain", "script", "--speech", "tones", "--heard", "none"]
STACKS = ["--intro-stack", "deepgram+gpt4o-mini", "--story-stack", "openai-realtime"]


class Running:
    """A `story run` that listens."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self._errors = errors
        self.lines: list[str] = []

    @property
    def errors(self) -> str:
        """What it wrote on standard error."""
        return self._errors.read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Read what it says up to a line with that in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without saying {pattern}: {self.lines} {self.errors}")

    def stop(self, name: signal.Signals = signal.SIGTERM) -> int:
        """The exit code. How long it takes is bounded in the house: tests/transports/web/test_house.py."""
        self.process.send_signal(name)
        assert self.process.stdout is not None
        rest = self.process.stdout.read()  # communicate() would lose what has been read ahead
        self.process.wait(timeout=30)
        self.lines += rest.splitlines()
        return self.process.returncode


@pytest.fixture
def running(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Running]]:
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, **variables: str) -> Running:
        errors = tmp_path / "stderr"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "story", "run", "--port", "0", "--ice-address", "127.0.0.1", *options],
                cwd=tmp_path,
                env={**environment, "PYTHONUNBUFFERED": "1", **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(process)
        return Running(process, errors)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(done: subprocess.CompletedProcess[str]) -> str:
    """An error without the frame around it."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", done.stderr).split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-calls", "0"], "--max-calls"),
        (["--port", "70000"], "--port"),
        (["--transport", "carrier-pigeon"], "one of auto, web, livekit"),
        (["--transport", "livekit"], "no LiveKit server is named: set LIVEKIT_URL"),
        (["--turn", "turn.example.org"], "write USER:PASSWORD@HOST:PORT"),
        (["--stun", "a host"], "write HOST:PORT"),
        (["--ice-address", "here"], "write an address of this machine"),
        (["--tls-key", "key.pem"], "--tls-key is of no use without --tls-cert"),
        (["--tls-cert", "none.pem"], "can't use the certificate none.pem"),
        (["--max-duration", "nan"], "--max-duration"),
        (["--max-duration", "inf"], "name a number of seconds"),
        (["--host", "no.such.host.invalid"], "can't listen on no.such.host.invalid"),
        (["--host", ""], "--host"),
        (["--brain", "script"], "add --emulate"),
        (["--intro-stack", "gpt4o-mimi"], "did you mean gpt4o-mini"),
        (["--chain", "storytelller"], "did you mean storyteller?"),
    ],
)
def test_bad_options_are_one_clear_line(story: Story, options: list[str], message: str) -> None:
    stacks = [] if "--brain" in options or "gpt4o-mimi" in options else [*EMULATED, *STACKS]
    done = story("run", *stacks, *options)
    assert done.returncode == 2, done.stderr
    assert message in told(done) and "Traceback" not in done.stderr and done.stdout == ""


def test_a_port_that_is_taken(story: Story) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = story("run", *EMULATED, *STACKS, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2 and "choose another with --port" in told(done)


def test_certificates_that_are_none(story: Story, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    done = story("run", *EMULATED, *STACKS, "--tls-cert", "cert.pem")
    assert done.returncode == 2 and "can't use the certificate cert.pem" in told(done)
    key = certificate(tmp_path, password=b"hush")
    done = story("run", *EMULATED, *STACKS, "--tls-cert", "cert.pem", "--tls-key", str(key))
    assert done.returncode == 2 and "can't use the certificate" in told(done), "no password is asked for"


def certificate(folder: Path, *, password: bytes | None = None) -> Path:
    """cert.pem and key.pem for 127.0.0.1; returns the key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "story")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    (folder / "key.pem").write_bytes(pem)
    return folder / "key.pem"


async def get(url: str, **options: object) -> tuple[int, str, Mapping[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(url, **options) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.text(), answer.headers


async def until_ready(url: str) -> list[str]:
    """Ask /healthz until it is ready; the states it was in."""
    states: list[str] = []
    while not states or states[-1] != "ready":
        status, body, _ = await get(f"{url}healthz")
        assert status == 200
        states.append(json.loads(body)["status"])
        assert states[-1] in ("loading", "ready")
        await asyncio.sleep(0.05)
    return states


class Caller:
    """A caller over a WebSocket, who types."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self.messages: list[dict[str, object]] = []

    async def ring(self) -> None:
        self.socket = await self._http.ws_connect(f"{self._url}api/socket")
        await self.socket.send_json({"type": "start"})
        self._breathing = asyncio.create_task(self._breathe())

    async def _breathe(self) -> None:
        while not self.socket.closed:
            await self.socket.send_bytes(bytes(960))
            await asyncio.sleep(0.1)

    async def until(self, type_: str) -> dict[str, object]:
        async with asyncio.timeout(60):
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.messages.append(json.loads(message.data))
                    if self.messages[-1]["type"] == type_:
                        return self.messages[-1]
        raise AssertionError(f"the connection was closed before {type_}: {self.messages}")


async def test_what_it_says_and_how_it_ends(running: Callable[..., Running]) -> None:
    run = running(*EMULATED, *STACKS)
    url = run.until(r"http://127\.0\.0\.1:\d+/").group()
    states = await until_ready(url)
    run.until("Ready for calls")
    assert states[-1] == "ready"
    status, body, headers = await get(f"{url}metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["story_calls_active"].samples[0].value == 0
    assert families["story_calls_started"].samples[0].value == 0
    assert {"story_calls_ended", "story_turn_latency_seconds", "story_errors"} <= set(families)
    setup = json.loads((await get(f"{url}api/setup"))[1])
    assert setup["chain"] == "storyteller" and setup["emulated"] and setup["ready"] and setup["error"] is None
    assert setup["ice_servers"] == [] and setup["calls"] == {"active": 0, "max": 10} and "emulated" in setup["notice"]
    assert [persona["stack"] for persona in setup["personas"]] == ["deepgram+gpt4o-mini", "openai-realtime"]
    local = next(stack for stack in setup["stacks"] if stack["spec"] == "local")
    assert not local["works"] and "story models pull" in local["reason"], "its weights are not in this test's folder"
    assert run.stop(signal.SIGINT) == 0
    assert all(len(line) <= 80 for line in run.lines), run.lines
    banner = "\n".join(run.lines)
    assert "storyteller" in banner and "deepgram+gpt4o-mini" in banner
    assert run.errors == ""


@pytest.mark.parametrize(
    ("name", "first"), [(signal.SIGTERM, "deepgram+gpt4o-mini"), (signal.SIGINT, "openai-realtime")]
)
async def test_it_stops_in_the_middle_of_a_call(
    running: Callable[..., Running], name: signal.Signals, first: str
) -> None:
    run = running(*EMULATED, "--intro-stack", first, "--story-stack", "openai-realtime", "--json")
    url = str(json.loads(run.until("serving").string)["url"])
    run.until('"ready"')
    async with aiohttp.ClientSession() as http:
        caller = Caller(http, url)
        await caller.ring()
        await caller.until("agent_turn")
        _, body, _ = await get(f"{url}metrics")
        assert "story_calls_active 1.0" in body and "story_calls_started_total 1.0" in body
        heard = len(caller.messages)
        run.process.send_signal(name)
        ended = await caller.until("call_ended")
        assert ended["reason"] == "shutdown"
        goodbyes = [str(told["text"]) for told in caller.messages[heard:] if told["type"] == "agent_turn"]
        assert len(goodbyes) == 1 and "Goodbye" in goodbyes[0]
        await asyncio.to_thread(run.process.wait, 30)
        caller._breathing.cancel()
    assert run.stop() == 0
    logged = [json.loads(line) for line in run.lines]
    kinds = [line["type"] for line in logged]
    assert kinds[0] == "serving" and {"ready", "call_started", "stopping", "call_ended"} <= set(kinds)
    assert next(line for line in logged if line["type"] == "stopping")["calls"] == 1
    assert [line["reason"] for line in logged if line["type"] == "call_ended"] == ["shutdown"]
    assert "partial" not in kinds and "state" not in kinds
    assert run.errors == ""


def test_it_stops_while_it_is_still_loading(running: Callable[..., Running]) -> None:
    run = running(*EMULATED, *STACKS)
    run.until("story is at")
    assert run.stop() == 0 and "Traceback" not in run.errors


async def test_over_tls(running: Callable[..., Running], tmp_path: Path) -> None:
    certificate(tmp_path)
    run = running(*EMULATED, *STACKS, "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    url = run.until(r"https://127\.0\.0\.1:\d+/").group()
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    status, _, headers = await get(f"{url}api/setup", ssl=trust)
    assert status == 200 and "Content-Security-Policy" in headers
    run.until("Ready")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http:
        caller = Caller(http, url)
        await caller.ring()
        await caller.until("call_started")
        await caller.socket.send_json({"type": "hang_up"})
        assert (await caller.until("call_ended"))["reason"] == "caller_left"
        caller._breathing.cancel()
    assert run.stop() == 0


async def test_on_every_address_it_wants_the_token(running: Callable[..., Running]) -> None:
    run = running(*EMULATED, *STACKS, "--host", "0.0.0.0")
    found = run.until(r"story is at (http://([\d.]+):\d+)/\?token=(\S+)")
    url = found.group(1)
    assert found.group(2) != "0.0.0.0", "nobody can go there"
    assert (await get(f"{url}/api/setup"))[0] == 401
    assert (await get(f"{url}/healthz"))[0] == 200
    assert "Without TLS" in run.errors
    assert (await get(f"{url}/api/setup", headers={"Authorization": f"Bearer {found.group(3)}"}))[0] == 200
    assert run.stop() == 0


async def test_what_its_options_say_reaches_pages_and_calls(running: Callable[..., Running], tmp_path: Path) -> None:
    ice = ["--stun", "stun.example.org", "--turn", "ann:secret@turn.example.org:3478"]
    run = running(*EMULATED, *STACKS, *ice, "--max-duration", "1", "--record", "records")
    url = run.until(r"http://127\.0\.0\.1:\d+/").group()
    run.until("Ready")
    setup = json.loads((await get(f"{url}api/setup"))[1])
    assert setup["max_duration"] == 1
    assert setup["ice_servers"] == [
        {"urls": ["stun:stun.example.org"]},
        {"urls": ["turn:turn.example.org:3478"], "username": "ann", "credential": "secret"},
    ]
    async with aiohttp.ClientSession() as http:
        caller = Caller(http, url)
        await caller.ring()
        ended = await caller.until("call_ended")
        caller._breathing.cancel()
    assert ended["reason"] == "time_limit"
    assert run.stop() == 0
    (record,) = (tmp_path / "records").glob("*.jsonl")
    kept = [json.loads(line) for line in record.read_text().splitlines()]
    assert kept[0]["type"] == "call_started" and kept[-1] == ended


def test_it_opens_the_page_here_and_serves_it_where_livekit_is_set(
    running: Callable[..., Running], tmp_path: Path
) -> None:
    (browser := tmp_path / "browser").write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    os.mkfifo(tmp_path / "opened")
    livekit = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
    options = ["--open", "--host", "0.0.0.0", "--transport", "web"]
    run = running(*EMULATED, *options, BROWSER=f"{browser} %s", **livekit)
    here = run.until(r"On this machine: (http://127\.0\.0\.1:\d+/\?token=\S+)").group(1)
    run.until("using the chain's own stacks")
    assert (tmp_path / "opened").read_text().strip() == here
    assert run.stop() == 0


def test_a_stack_that_can_not_be_built_ends_it_with_one_line(running: Callable[..., Running]) -> None:
    run = running("--intro-stack", "openai-realtime", "--story-stack", "openai-realtime")
    assert run.process.wait(60) == 2
    assert "OPENAI_API_KEY" in run.errors and "Traceback" not in run.errors


def test_help_names_every_option(story: Story) -> None:
    done = story("run", "--help")
    assert done.returncode == 0
    for option in ("--host", "--port", "--open", "--max-calls", "--max-duration", "--stun", "--turn", "--transport"):
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert os.linesep in done.stdout

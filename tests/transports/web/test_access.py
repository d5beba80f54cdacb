"""Who gets an answer: this machine or who has the token, no other site's page, and nobody too much of it."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from story.transports.web import access
from story.transports.web.access import HEADERS, POLICY, is_loopback
from tests.transports.web.served import Served, serving

PATHS = ("/", "/page/main.js", "/page/none.js", "/healthz", "/metrics", "/api/setup", "/api/nothing", "/favicon.ico")
EVIL = "<script>alert(1)</script>"


@pytest.fixture
async def here() -> AsyncIterator[Served]:
    """A server on the loopback address."""
    async with serving() as served:
        yield served


@pytest.fixture
async def exposed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A server that others can reach: it believes so, at least."""
    monkeypatch.setattr(access, "is_loopback", lambda host: False)
    async with serving() as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def raw(served: Served, request: bytes) -> bytes:
    """The answer to bytes that no client library would send."""
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", "[::1", "", "a@b"])
async def test_a_name_that_leads_here_gets_nothing(here: Served, http: aiohttp.ClientSession, host: str) -> None:
    async with http.get(f"{here.url}/api/setup", headers={"Host": host}) as answer:
        assert answer.status == 403 and "127.0.0.1" in (await answer.json())["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:8765"])
async def test_every_name_of_this_machine_may_be_used(here: Served, http: aiohttp.ClientSession, host: str) -> None:
    async with http.get(f"{here.url}/api/setup", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", "", "http://[", "file://"])
async def test_another_sites_page_gets_nothing(here: Served, http: aiohttp.ClientSession, origin: str) -> None:
    headers = {"Origin": origin}
    async with http.get(f"{here.url}/api/setup", headers=headers) as answer:
        assert answer.status == 403
    async with http.post(f"{here.url}/api/calls", json={}, headers=headers) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"{here.url}/api/socket", headers=headers)
    assert refused.value.status == 403


async def test_our_own_page_gets_answers(here: Served, http: aiohttp.ClientSession) -> None:
    headers = {"Origin": here.url}
    async with http.get(f"{here.url}/api/setup", headers=headers) as answer:
        assert answer.status == 200
    async with http.post(f"{here.url}/api/calls", json={}, headers=headers) as answer:
        assert answer.status == 400
    async with http.ws_connect(f"{here.url}/api/socket", headers=headers) as socket:
        await socket.send_str("nonsense")
        assert (await socket.receive_json())["type"] == "refused"


async def test_on_this_machine_no_token_is_asked_for(here: Served, http: aiohttp.ClientSession) -> None:
    assert "token" not in here.server.url
    async with http.get(f"{here.url}/metrics") as answer:
        assert answer.status == 200


async def test_without_the_token_nothing_but_health_is_told(exposed: Served, http: aiohttp.ClientSession) -> None:
    for path in PATHS:
        async with http.get(exposed.url + path) as answer:
            assert answer.status == (200 if path == "/healthz" else 401), path
    async with http.post(f"{exposed.url}/api/calls", json={}) as answer:
        assert answer.status == 401 and "story run" in (await answer.json())["error"]
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        await http.ws_connect(f"{exposed.url}/api/socket")


async def test_the_token_moves_from_the_address_into_a_cookie(exposed: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(exposed.server.url, allow_redirects=False) as answer:
        assert answer.status == 303 and answer.headers["Location"] == "/"
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "Path=/" in cookie
    assert "SameSite=Lax" in cookie, "or the redirect would come without it where a page of another site has the link"
    async with http.get(f"{exposed.url}/api/setup") as answer:
        assert answer.status == 200
    async with http.ws_connect(f"{exposed.url}/api/socket") as socket:
        await socket.send_str("nonsense")
        assert (await socket.receive_json())["type"] == "refused"


async def test_two_servers_of_a_machine_leave_one_another_their_cookies(
    exposed: Served, http: aiohttp.ClientSession
) -> None:
    async with serving() as other:
        for served in (exposed, other):
            async with http.get(served.server.url):
                pass
        for served in (exposed, other):
            async with http.get(f"{served.url}/api/setup") as answer:
                assert answer.status == 200


@pytest.mark.parametrize("host", ["story.example.org", "story.example.org:8765", "[::1]", "a b:80", ":", ":x"])
async def test_the_cookie_is_found_again_by_any_name_of_the_server(exposed: Served, host: str) -> None:
    start = f"Host: {host}\r\nConnection: close\r\n"
    answer = (await raw(exposed, f"GET /?token={exposed.token} HTTP/1.1\r\n{start}\r\n".encode())).decode()
    cookie = answer.partition("Set-Cookie: ")[2].partition(";")[0]
    answer = (await raw(exposed, f"GET /metrics HTTP/1.1\r\n{start}Cookie: {cookie}\r\n\r\n".encode())).decode()
    assert cookie.startswith("story_token") and answer.startswith("HTTP/1.1 200")


async def test_the_redirect_leads_nowhere_else(exposed: Served) -> None:
    for path in ("//evil.example/", "/%0d%0aX-Evil:%201", "/page/x"):
        request = f"GET {path}?token={exposed.token} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        answer = (await raw(exposed, request.encode())).decode()
        assert "Location: /\r\n" in answer and "evil" not in answer.lower()


@pytest.mark.parametrize(
    "given",
    ["", "wrong", "\u00fc", "%ff", "Bearer"],
)
async def test_a_wrong_token_in_any_shape_is_no_token(exposed: Served, given: str) -> None:
    for request in (
        f"GET /?token={given} HTTP/1.1\r\nHost: here\r\n",
        f"GET / HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {given}\r\n",
        f"GET / HTTP/1.1\r\nHost: here\r\nCookie: story_token={given}\r\n",
    ):
        for encoding in ("utf-8", "latin-1"):
            answer = await raw(exposed, request.encode(encoding) + b"Connection: close\r\n\r\n")
            assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400", b"HTTP/1.0 400")), answer[:80]
            assert exposed.token.encode() not in answer


async def test_a_bearer_token_is_as_good(exposed: Served, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {exposed.token}"}
    async with http.get(f"{exposed.url}/metrics", headers=headers) as answer:
        assert answer.status == 200 and "story_calls_active" in await answer.text()
    async with http.get(f"{exposed.url}/metrics", headers={"Authorization": exposed.token}) as answer:
        assert answer.status == 401


async def test_a_token_in_an_address_does_not_post(exposed: Served, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{exposed.url}/api/calls?token={exposed.token}", json={}) as answer:
        assert answer.status == 401


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append((one, other)) or one == other)
    assert access.same("a", "a") and not access.same("b", "a") and not access.same("\ud800", "a")
    assert len(compared) == 3


def test_no_two_servers_have_the_same_token() -> None:
    tokens = {
        access.Access("0.0.0.0", open_paths=frozenset(), secure=False).token,
        access.Access("0.0.0.0", open_paths=frozenset(), secure=False).token,
    }
    assert len(tokens) == 2 and all(token and len(token) >= 32 for token in tokens)


def test_the_policy_lets_no_inline_script_or_style_in() -> None:
    assert "unsafe" not in POLICY and "*" not in POLICY and "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


async def test_every_answer_has_the_headers(here: Served, http: aiohttp.ClientSession) -> None:
    def check(answer: aiohttp.ClientResponse) -> None:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url

    for path in PATHS:
        async with http.get(here.url + path) as answer:
            check(answer)
    async with http.get(here.url, headers={"Host": "evil.example"}) as answer:
        check(answer)
    async with http.put(f"{here.url}/api/calls") as answer:
        check(answer)
        assert answer.status == 405 and answer.headers["Allow"] == "POST"
    async with http.post(f"{here.url}/api/calls", data=b"x" * 100_000) as answer:
        check(answer)
        assert answer.status == 413


async def test_a_failure_of_ours_is_told_without_its_cause(
    here: Served, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(here.house), "active", property(lambda house: 1 / 0))
    async with http.get(f"{here.url}/api/setup", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 500 and answer.content_type == "application/json"
        assert "ZeroDivisionError" not in await answer.text()
        assert answer.headers["Content-Security-Policy"] == POLICY


async def test_nothing_of_a_request_comes_back(here: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{here.url}/{EVIL}?{EVIL}", headers={"X": EVIL, "Accept": "text/html"}) as answer:
        assert "alert" not in await answer.text() and answer.status == 404
    for body in (EVIL, json.dumps({"offer": {"type": EVIL, "sdp": EVIL}}), json.dumps({EVIL: EVIL})):
        async with http.post(f"{here.url}/api/calls", data=body) as answer:
            assert answer.status == 400 and "alert" not in await answer.text()
    for stacks in ({EVIL: "fake"}, {"intro": EVIL}):
        body = json.dumps({"offer": {"type": "offer", "sdp": EVIL}, "stacks": stacks})
        async with http.post(f"{here.url}/api/calls", data=body) as answer:
            assert answer.status == 400 and "alert" not in await answer.text()
    async with http.post(f"{here.url}/api/calls/<script>/hang-up", data=EVIL) as answer:
        assert answer.status == 204
    async with http.post(f"{here.url}/api/calls/<script>/offer", json={"secret": EVIL}) as answer:
        assert answer.status == 404 and "alert" not in await answer.text()


async def test_what_is_no_http_is_answered_as_mere_text(here: Served) -> None:
    for request in (
        b"<script>\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ):
        answer = await raw(here, request)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")) and b"text/html" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"offer": 1}',
        b'{"offer": {"type": "answer", "sdp": "v=0"}}',
        b'{"offer": {"type": "offer", "sdp": 1}}',
        b'{"offer": {"type": "offer", "sdp": "v=0"}, "stacks": []}',
        b'{"offer": {"type": "offer", "sdp": "v=0"}, "stacks": {"intro": 1}}',
        b'{"offer": {"type": "offer", "sdp": "\\ud800"}, "stacks": {"\\ud800": "\\ud800"}}',
        b'{"offer": {"type": "offer", "sdp": "\\ud800"}}',
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=nonsense"])
async def test_a_body_that_means_nothing_is_a_400(
    here: Served, http: aiohttp.ClientSession, body: bytes, kind: str
) -> None:
    async with http.post(f"{here.url}/api/calls", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]


@pytest.mark.parametrize("path", ["/api/calls", "/api/calls/guest_1/offer", "/api/calls/guest_1/hang-up"])
async def test_a_body_that_does_not_come_is_waited_for_no_longer(
    here: Served, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("story.transports.web.page_server.BODY_SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with http.post(here.url + path, data=slow()) as answer:
        assert answer.status == 408 and (await answer.json())["error"] == "the body did not come"


async def test_any_secret_at_all_is_a_wrong_one(here: Served, http: aiohttp.ClientSession) -> None:
    for body in (b'{"secret": "\\ud800"}', b'{"secret": null}', b'{"secret": [1]}', b"{}"):
        async with http.post(f"{here.url}/api/calls/guest_1/offer", data=body) as answer:
            assert answer.status == 404
    for kind in ("text/plain; charset=nonsense", "text/plain; charset=utf-16", "text/plain"):
        headers = {"Content-Type": kind}
        async with http.post(f"{here.url}/api/calls/guest_1/hang-up", data=b"\xff\xfe\x00", headers=headers) as answer:
            assert answer.status == 204


async def test_a_page_asks_for_too_much(
    here: Served, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REQUESTS_AT_ONCE", 5)
    monkeypatch.setattr(access, "REQUESTS_PER_SECOND", 0.0)
    statuses = []
    for _ in range(3):  # those of other sites count for nothing
        async with http.get(f"{here.url}/healthz", headers={"Origin": "http://evil.example"}) as answer:
            statuses.append(answer.status)
    for _ in range(7):
        async with http.get(f"{here.url}/healthz") as answer:
            statuses.append(answer.status)
            last = answer
    assert statuses == [403] * 3 + [200] * 5 + [429] * 2
    assert "Retry-After" in last.headers


def test_who_has_asked_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_ADDRESSES", 10)
    monkeypatch.setattr(access, "REQUESTS_PER_SECOND", 1e9)
    guard = access.Access("127.0.0.1", open_paths=frozenset(), secure=False)
    for number in range(100):
        guard._budget(str(number)).spend()
    assert len(guard._budgets) <= 12


async def test_a_head_is_answered_like_a_get(here: Served, http: aiohttp.ClientSession) -> None:
    async with http.head(f"{here.url}/healthz") as answer:
        assert answer.status == 200 and await answer.read() == b""

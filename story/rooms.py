"""`story token` and `story dispatch`: callers and the agent, on their way into a room of LiveKit."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import Annotated

import typer

from story import calls, working
from story.core.registry import DEFAULT_CHAIN
from story.plain import PlainCommand

DEFAULT_TTL = 3600.0
LONGEST_TTL = 10 * 365 * 24 * 3600.0

Room = Annotated[str, typer.Option("--room", metavar="NAME", help="The room.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=PlainCommand)(token)
    app.command(cls=PlainCommand)(dispatch)


def token(
    ctx: typer.Context,
    *,
    room: Room,
    identity: Annotated[str, typer.Option("--identity", metavar="NAME", help="Who joins; no two may be the same.")],
    ttl: Annotated[
        float, typer.Option("--ttl", metavar="SECONDS", min=1, help="How long it can be used to join.")
    ] = DEFAULT_TTL,
    agent_name: working.AgentName = working.DEFAULT_AGENT_NAME,
    env_file: calls.EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a token with which a caller joins a room, to where the agent is then sent."""
    from story.transports.livekit.server_access import required_server
    from story.workspace import usable

    _named(room=room, identity=identity)
    if not ttl <= LONGEST_TTL:  # nor NaN
        raise typer.BadParameter(f"--ttl {ttl}: at most {LONGEST_TTL:.0f} seconds, ten years")
    server = required_server(usable(ctx.obj, env_file).settings)
    from story.transports.livekit.tokens import PLAYGROUND, join_token

    made = join_token(server, room, identity, seconds=ttl, agent=agent_name)
    if as_json:
        typer.echo(json.dumps({"url": server.url, "token": made, "playground": PLAYGROUND}))
        return
    typer.echo(made)
    typer.echo(f"\nTo try it: {PLAYGROUND}\nThere, under Manual: {server.url} and this token.", err=True)


def token_command(agent: str) -> str:
    """What a user types for a token that sends for `agent`."""
    named = "" if agent == working.DEFAULT_AGENT_NAME else f" --agent-name {shlex.quote(agent)}"
    return f"story token --room lobby --identity me{named}"


def dispatch(
    ctx: typer.Context,
    *,
    room: Room,
    agent_name: working.AgentName = working.DEFAULT_AGENT_NAME,
    chain: calls.ChainName = "",
    intro_stack: calls.IntroStack = None,
    story_stack: calls.StoryStack = None,
    stack: calls.Stacks = None,
    env_file: calls.EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Send the agent into a room, and wait until it is there."""
    from story.core.plan import find_chain
    from story.core.resolve import resolve
    from story.transports.livekit.orders import Order
    from story.transports.livekit.server_access import check, required_server
    from story.workspace import usable

    _named(room=room, **{"agent-name": agent_name})
    stacks = calls.stacks_of(stack, intro=intro_stack, story=story_stack)
    space = usable(ctx.obj, env_file)
    server = required_server(space.settings)
    _, personas = find_chain(chain or DEFAULT_CHAIN, space.registry)
    for spec in stacks.values():  # a slip of the pen is pointed at here, the rest is for the worker to say
        resolve(spec, space.registry, default_stack=personas.default_stack)
    asyncio.run(check(server))
    from story.transports.livekit import dispatch as sending

    metadata = Order(chain or None, stacks, wait=True).as_metadata()
    arrival = asyncio.run(sending.dispatch(server, room, agent_name, metadata))
    if as_json:
        typer.echo(json.dumps({"room": room, "agent": arrival.identity, "dispatch": arrival.dispatch}))
    else:
        typer.echo(f"{agent_name} is in the room {room}, as {arrival.identity}.")


def _named(**options: str) -> None:
    for name, value in options.items():
        if not value.strip():
            raise typer.BadParameter(f"--{name} is empty")

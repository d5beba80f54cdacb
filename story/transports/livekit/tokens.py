"""Tokens with which callers join a room."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from livekit import api

from story.transports.livekit.server_access import LiveKitServer

PLAYGROUND = "https://agents-playground.livekit.io/#cam=0&mic=1&screen=0&video=0&audio=1&chat=1&theme_color=cyan"
"""LiveKit's own page for trying agents. It takes address and token in a form alone, not in its address."""


def join_token(
    server: LiveKitServer,
    room: str,
    identity: str,
    *,
    seconds: float,
    agent: str = "",
    metadata: str = "",
    attributes: Mapping[str, str] | None = None,
) -> str:
    """A token for one participant and one room.

    seconds: until it can't be used any more to join. agent: sent into the room when this participant makes it, with
    this metadata. attributes: of the participant.
    """
    grants = api.VideoGrants(room_join=True, room=room)
    token = api.AccessToken(server.key, server.secret).with_identity(identity).with_grants(grants)
    token = token.with_ttl(timedelta(seconds=seconds)).with_attributes(dict(attributes or {}))
    if agent:
        dispatch = api.RoomAgentDispatch(agent_name=agent, metadata=metadata)
        token = token.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return token.to_jwt()

"""In which form sound comes to Deepgram's recognisers (https://developers.deepgram.com/docs/encoding)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from story.emulator.incoming import CONTAINER_RATE, Container, Hear, Incoming, Raw, Samples
from story.emulator.parameters import INVALID, Query, whole
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

_RAW: Mapping[str, Samples] = {"linear16": "s16", "linear32": "f32", "mulaw": "mulaw", "alaw": "alaw"}
_CONTAINED = ("flac", "opus", "ogg-opus", "speex", "amr-nb", "amr-wb", "g729")
UNDECODABLE = "The payload cannot be decoded as audio. It is either not audio data or a codec that isn't supported."


@dataclass(frozen=True)
class Sound:
    """samples: of raw sound; None: it comes in a container, which says what it is. rate: Hz at which it is heard."""

    samples: Samples | None
    rate: int

    @classmethod
    def of(cls, query: Query, low: int, high: int) -> Sound:
        """As `encoding` and `sample_rate` (from `low` to `high`) ask. Raises VendorError (400)."""
        encoding = query.get("encoding")
        if encoding is None or encoding in _CONTAINED:
            whole(query, "sample_rate", low, low, high)
            return cls(None, CONTAINER_RATE)
        if encoding not in _RAW:
            known = ", ".join((*_RAW, *_CONTAINED))
            raise VendorError(400, f"unknown encoding {encoding[:40]!r}: one of {known}", INVALID, param="encoding")
        return cls(_RAW[encoding], whole(query, "sample_rate", None, low, high))

    def incoming(self, socket: Socket, hear: Hear) -> Incoming:
        """What brings a socket's messages to `hear`."""
        if self.samples is not None:
            return Raw(self.samples, hear)
        return Container(socket, hear, VendorError(400, UNDECODABLE, "DATA-0000"))

"""Which models Deepgram's endpoints take: families, as new members come and customers have their own."""

from __future__ import annotations

import re

from story.emulator.parameters import INVALID
from story.emulator.vendor import VendorError

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_USES = "general|meeting|phonecall|finance|conversationalai|voicemail|video|medical|drivethru|automotive|custom"
NOVA = re.compile(rf"(nova|enhanced|base|whisper|2)(-[\w-]+)?|{_USES}|{_UUID}")
FLUX = re.compile(rf"flux-general-[\w-]+|{_UUID}")
AURA = re.compile(r"aura-[\w-]+")
FLUX_VOICES = re.compile(r"flux-[a-z]+-[a-z]{2,}")


def check(model: str, family: re.Pattern[str]) -> str:
    """`model`, which must be of that family. Raises VendorError (400)."""
    if not family.fullmatch(model):
        speaks = family in (AURA, FLUX_VOICES)
        told = (
            "No such model/version combination found." if speaks else "No such model/language/tier combination found."
        )
        raise VendorError(400, told, INVALID if speaks else "Bad Request", param="model")
    return model

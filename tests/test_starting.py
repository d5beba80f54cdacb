"""The collector is off only while a server starts."""

from __future__ import annotations

import asyncio
import gc
import sys

from story import starting


def test_the_collector_is_on_again_and_leaves_what_was_loaded_alone() -> None:
    frozen = gc.get_freeze_count()
    try:
        starting.hasten()
        assert not gc.isenabled()
        starting.settle()
        assert gc.isenabled() and gc.get_freeze_count() > frozen + 10_000
    finally:
        gc.enable()
        gc.unfreeze()


async def _kind() -> None:
    loop = asyncio.get_running_loop()
    assert type(loop).__module__ == ("asyncio" if sys.platform == "win32" else "uvloop")


def test_a_server_runs_on_the_faster_loop_where_there_is_one() -> None:
    starting.run(_kind())

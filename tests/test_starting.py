"""The collector is off only while a server starts."""

from __future__ import annotations

import gc

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

"""`story bench` in the process of a test."""

from __future__ import annotations

import pytest

from story.cli import main


def story(*arguments: str) -> int | str | None:
    """The exit code of `story bench`; in this process, as livekit takes seconds to import."""
    with pytest.raises(SystemExit) as exited:
        main(["bench", *arguments])
    return exited.value.code

"""Where the log of a command goes: a file, so that the terminal shows the conversation and nothing else."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from story.core.redact import redact
from story.core.settings import Settings

LOG_BYTES = 2_000_000
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_folders() -> tuple[Path, ...]:
    """The folders a log may be kept in, best first."""
    from platformdirs import user_log_path

    return user_log_path("story", appauthor=False), Path(tempfile.gettempdir())


@contextmanager
def logged(settings: Settings) -> Iterator[Path | None]:
    """Within the block, all that is logged goes to the log file (given; None where none can be written), without
    secrets. STORY_DEBUG=1 shows it on standard error as well."""
    handlers: list[logging.Handler] = []
    if (file := _file_handler()) is not None:
        handlers.append(file)
    if os.environ.get("STORY_DEBUG") == "1":
        handlers.append(logging.StreamHandler())
    if not handlers:
        handlers.append(logging.NullHandler())
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(_Redacting(FORMAT, settings))
        root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield Path(file.baseFilename) if file else None
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _file_handler() -> RotatingFileHandler | None:
    for folder in log_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return RotatingFileHandler(folder / "story.log", maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8")
        except OSError:
            continue
    return None


class _Redacting(logging.Formatter):
    def __init__(self, fmt: str, settings: Settings) -> None:
        super().__init__(fmt)
        self._settings = settings

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._settings)

"""Text files of the user's, read with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from story.core.errors import ConfigError


def read_text(path: Path) -> str:
    """What a UTF-8 file says, without the byte order mark that some editors put first.

    Raises:
        ConfigError: it is missing, unreadable or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from None

"""The language model's engine: llama.cpp's own HTTP server, inside this process, on a loopback port."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from story.core.errors import MissingPackageError, WeightsError

if TYPE_CHECKING:
    import xllamacpp

SLOTS = 8
"""Prompts kept warm side by side: one for each persona of a chain and one for each persona's tools."""

CONTEXT = 8192
"""Tokens of key-value cache, shared by all slots; 28 KiB each for this model."""

SAVED = 24
"""Prompts kept on disk, 5 to 15 MB each: personas' instructions and tools, so that a call begins warm. No caller's
words are among them."""

BATCH = 64
"""Tokens read in one go. Small, so that a long prefill neither holds up a caller's turn nor outlives its request."""


@dataclass(frozen=True)
class LlamaServer:
    """A running server: `url` speaks llama.cpp's HTTP API to whoever has the key it was started with."""

    url: str
    _server: xllamacpp.Server

    def close(self) -> None:
        """The engine has no stop of its own: it ends when its last reference does."""
        # The dataclass is frozen for its readers; letting go of the engine is its own business.
        object.__setattr__(self, "_server", None)


def start(*, model_path: Path, api_key: str, threads: int) -> LlamaServer:
    """Load a GGUF file and serve it on 127.0.0.1, on a free port.

    Blocks until the model is loaded (seconds). Raises WeightsError if the file can't be loaded, MissingPackageError
    where xllamacpp has no wheel.
    """
    # Threads that spin at OpenMP's barriers take the core from recogniser and voice; libgomp reads this as it loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        import xllamacpp
    except ImportError:
        raise MissingPackageError(
            "the on-device language model needs xllamacpp: pip install 'xllamacpp>=2026.10,<2027'"
        ) from None

    if not model_path.is_file():
        raise WeightsError(f"{model_path} is not there; fetch it with: story models pull")
    params = xllamacpp.CommonParams()
    params.model.path = str(model_path)
    params.n_gpu_layers = 0
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT
    params.kv_unified = True
    params.n_batch = params.n_ubatch = BATCH
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
    # Reading the file, instead of mapping it, leaves one copy of the weights in memory once they are repacked.
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.port = 0
    params.api_keys = [api_key]
    params.ui = False
    params.use_jinja = False
    params.verbosity = -1
    saved = model_path.parent / "prompts"
    with suppress(OSError):
        saved.mkdir(mode=0o700, exist_ok=True)
        _prune(saved)
        params.slot_save_path = f"{saved}{os.sep}"
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise WeightsError(f"{model_path} can't be loaded ({error}); check it with: story models verify") from error
    return LlamaServer(url=server.listening_address, _server=server)


def _prune(folder: Path) -> None:
    """Keep the latest SAVED prompts."""
    files = sorted(folder.glob("*.kv"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[SAVED:]:
        path.unlink(missing_ok=True)

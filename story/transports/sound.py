"""Sound files: reading what a caller says from a WAV, and writing both sides of a call to one."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import wave
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from story.core.errors import AudioError, RecordingError

SAMPLE_RATE = 24_000
"""Hz; the rate of all sound inside our own transports (what most speech synthesis makes)."""

Samples = NDArray[np.int16]
"""Mono sound, s16 at SAMPLE_RATE."""

STREAMED = 0xFFFFFFFF
"""The data size that a WAV has when its writer could not go back to fill it in (ffmpeg, sox into a pipe)."""

Peak = np.float32(1.0)


def read_wav(path: Path) -> Samples:
    """A WAV file as mono samples at SAMPLE_RATE.

    Any rate, sample width (8-bit unsigned, 16 to 32-bit, 32 and 64-bit float, WAVE_FORMAT_EXTENSIBLE) and channel
    layout. Raises AudioError for everything that is not a whole WAV file with sound in it.
    """
    try:
        if path.is_dir():
            raise AudioError(f"{path} is a folder, not a WAV file")
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe can't be read twice, and may block for ever
            raise AudioError(f"{path} is not a plain file: save the sound as a WAV file first")
        with path.open("rb") as file:
            _check_riff(file, path)
    except FileNotFoundError:
        raise AudioError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AudioError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        mono = _decode(path)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path} can't be decoded ({reason}): save it as a PCM WAV, mono or stereo") from error
    if not mono.size:
        raise AudioError(f"{path} holds no sound (0 s)")
    return mono


def _check_riff(file: BinaryIO, path: Path) -> None:
    """Walk the chunks up to the sound: FFmpeg reads a file that was cut off as if it were whole, and we must not."""
    header = file.read(12)
    if not header:
        raise AudioError(f"{path} is empty (0 bytes)")
    if len(header) < 12 or header[:4] not in (b"RIFF", b"RF64") or header[8:] != b"WAVE":
        raise AudioError(f"{path} is not a WAV file")
    end = os.fstat(file.fileno()).st_size
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            here = end - file.tell()
            if not size:
                raise AudioError(f"{path} holds no sound (0 s)")
            if size != STREAMED and here < size:
                raise AudioError(f"{path} is cut off: it promises {size} bytes of sound and has {here}")
            return
        file.seek(size + size % 2, os.SEEK_CUR)
    raise AudioError(f"{path} is cut off: it ends before its sound begins")


def _decode(path: Path) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    blocks: list[NDArray[np.float32]] = []
    with av.open(str(path), format="wav") as container:
        stream = container.streams.audio[0]
        channels = 0
        for frame in container.decode(stream):
            channels = frame.layout.nb_channels
            blocks.extend(block.to_ndarray()[0] for block in resampler.resample(frame))
        if blocks:
            blocks.extend(block.to_ndarray()[0] for block in resampler.resample(None))
    if not blocks:
        return np.zeros(0, np.int16)
    mono = np.nan_to_num(np.concatenate(blocks))
    if channels == 2:
        # swresample adds stereo up at -3 dB a side; a caller recorded on both sides would come out louder
        mono *= np.float32(np.sqrt(0.5))
    peak = np.abs(mono).max(initial=np.float32(0))
    if peak > Peak:  # several loud channels together, or float samples beyond full scale
        mono /= peak
    return np.clip(np.round(mono * 32768), -32768, 32767).astype(np.int16)


class Recording:
    """Both sides of a call in a stereo WAV, caller left and agent right, there once it is whole.

    Sound goes to a hidden file beside `path` that takes its name in `commit`. Raises RecordingError where `path` can't
    be written, or a disk runs full: what was at `path` before is then still there.
    """

    def __init__(self, path: Path, *, expected: float = 0.0) -> None:
        """`expected`: seconds of sound that will surely come; the disk must have room for them."""
        self.path = path
        check_writable(path, expected=expected)
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from error
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 (closed by commit and discard)
        self._wave.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        self._open = True
        self._failure: RecordingError | None = None

    def write(self, caller: Samples, agent: Samples) -> None:
        """The next stretch of the call; both sides are equally long."""
        if not self._open:
            return
        try:
            self._wave.writeframesraw(np.column_stack((caller, agent)).astype("<i2").tobytes())
        except OSError as error:
            self.discard()
            self._failure = _unwritable(self.path, error)
            raise self._failure from error

    def commit(self) -> None:
        """Put the file in its place. Raises again what kept a stretch from being written."""
        if self._failure is not None:
            raise self._failure
        if not self._open:
            return
        try:
            self._wave.close()
            self._file.close()
            self._part.replace(self.path)
        except OSError as error:
            self.discard()
            raise _unwritable(self.path, error) from error
        self._open = False

    def discard(self) -> None:
        """Leave nothing behind."""
        self._open = False
        for close in (self._wave.close, self._file.close):
            try:
                close()
            except OSError:  # a full disk also fails the flush; the file goes anyway
                continue
        self._part.unlink(missing_ok=True)


def read_recording(path: Path) -> tuple[Samples, Samples]:
    """Both sides of a call that a `Recording` holds, caller and agent, at SAMPLE_RATE.

    Raises:
        OSError, EOFError, wave.Error: it can't be read.
    """
    with wave.open(str(path)) as file:
        caller, agent = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    return caller, agent


def check_writable(path: Path, *, expected: float = 0.0) -> None:
    """Raise RecordingError where a recording of `expected` seconds can't be put at `path`. Writes nothing."""
    folder = path.parent
    if path.is_dir():
        raise RecordingError(f"{path} is a folder: name the WAV file to write")
    if not folder.is_dir():
        raise RecordingError(f"{path} can't be written: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RecordingError(f"{path} can't be written: no permission to write in {folder}")
    needed = int(expected * SAMPLE_RATE * 4)
    free = shutil.disk_usage(folder).free
    if free <= needed:
        raise RecordingError(
            f"{path} can't be written: {free >> 20} MB free in {folder}, at least {(needed >> 20) + 1} needed"
        )


def _unwritable(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path} can't be written: {error.strerror or error}")

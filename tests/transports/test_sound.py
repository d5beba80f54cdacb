"""Callers' WAVs of every kind come in as 24 kHz mono, broken ones are named, recordings are whole or absent."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from story.core.errors import AudioError
from story.transports import sound
from story.transports.sound import SAMPLE_RATE, Recording, read_wav

PCM, FLOAT = 1, 3
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def encode(samples: np.ndarray, bits: int, kind: int) -> bytes:
    """`samples` (-1 to 1) as the bytes of a WAV's data chunk."""
    if kind == FLOAT:
        return samples.astype({32: "<f4", 64: "<f8"}[bits]).tobytes()
    if bits == 8:
        return (samples * 127 + 128).astype(np.uint8).tobytes()
    if bits == 24:
        whole = (samples * (2**31 - 1)).astype("<i4")
        return whole.reshape(-1, 1).view(np.uint8)[:, 1:].tobytes()
    return (samples * (2 ** (bits - 1) - 1)).astype({16: "<i2", 32: "<i4"}[bits]).tobytes()


def wav(
    samples: np.ndarray, *, rate: int = SAMPLE_RATE, bits: int = 16, kind: int = PCM, mask: int | None = None
) -> bytes:
    """A WAV file; `samples` are (frames, channels). mask: the speakers, as WAVE_FORMAT_EXTENSIBLE names them."""
    channels = samples.shape[1]
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind if mask is None else 0xFFFE, channels, rate, rate * block, block, bits)
    if mask is not None:
        form += struct.pack("<HHIH", 22, bits, mask, kind) + GUID_TAIL
    data = encode(samples, bits, kind)
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"LIST", b"INFOx") + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def tone(rate: int = SAMPLE_RATE, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def loudest(samples: np.ndarray) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


def level(samples: np.ndarray) -> float:
    return float(np.abs(samples[2400:-2400]).max()) / 32768


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "turn.wav"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize(
    ("bits", "kind"), [(8, PCM), (16, PCM), (24, PCM), (32, PCM), (32, FLOAT), (64, FLOAT)], ids=str
)
@pytest.mark.parametrize("mask", [None, 0x4], ids=["plain", "extensible"])
def test_every_sample_width(save: Callable[[bytes], Path], bits: int, kind: int, mask: int | None) -> None:
    samples = read_wav(save(wav(tone().reshape(-1, 1), bits=bits, kind=kind, mask=mask)))
    assert samples.dtype == np.int16
    assert len(samples) == SAMPLE_RATE
    assert loudest(samples) == pytest.approx(440, abs=1)
    assert level(samples) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_every_rate_keeps_pitch_level_and_length(save: Callable[[bytes], Path], rate: int) -> None:
    samples = read_wav(save(wav(tone(rate).reshape(-1, 1), rate=rate)))
    assert len(samples) == pytest.approx(SAMPLE_RATE, abs=2)
    assert loudest(samples) == pytest.approx(440, abs=1)
    assert level(samples) == pytest.approx(0.5, abs=0.01)


def test_our_own_rate_and_width_pass_untouched(save: Callable[[bytes], Path]) -> None:
    whole = np.arange(-32767, 32767, 7) / 32767
    assert np.array_equal(read_wav(save(wav(whole.reshape(-1, 1)))), np.frombuffer(encode(whole, 16, PCM), "<i2"))


def test_stereo_of_one_voice_keeps_its_level(save: Callable[[bytes], Path]) -> None:
    assert level(read_wav(save(wav(np.column_stack([tone(), tone()]))))) == pytest.approx(0.5, abs=0.01)


def test_surround_keeps_the_voice_in_the_middle_and_drops_the_bass_effects(save: Callable[[bytes], Path]) -> None:
    surround = np.zeros((SAMPLE_RATE, 6))
    surround[:, 2] = tone()
    surround[:, 3] = tone(hertz=60)  # the effects channel, which is no part of a mono mix (ITU-R BS.775)
    samples = read_wav(save(wav(surround, mask=0x3F)))
    assert level(samples) == pytest.approx(0.5, abs=0.01)
    assert loudest(samples) == pytest.approx(440, abs=1)


def test_surround_that_is_loud_everywhere_does_not_clip(save: Callable[[bytes], Path]) -> None:
    samples = read_wav(save(wav(np.column_stack([tone() * 1.8] * 6), mask=0x3F)))
    flat = np.count_nonzero(np.abs(samples.astype(int)) >= 32767)
    assert level(samples) == pytest.approx(1.0, abs=0.01)
    assert flat < len(samples) * 0.01


def test_float_samples_that_are_no_numbers_are_silent(save: Callable[[bytes], Path]) -> None:
    samples = tone().reshape(-1, 1)
    samples[100:200] = np.nan
    assert level(read_wav(save(wav(samples, bits=32, kind=FLOAT)))) == pytest.approx(0.5, abs=0.01)


def test_a_streamed_wav_without_its_length(save: Callable[[bytes], Path]) -> None:
    whole = wav(tone().reshape(-1, 1))
    at = whole.index(b"data") + 4
    assert len(read_wav(save(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]))) == SAMPLE_RATE


GOOD = wav(tone().reshape(-1, 1))
BROKEN = {
    "empty": (b"", "is empty (0 bytes)"),
    "text": (b"RIFF this is a text, not a sound", "is not a WAV file"),
    "mp3": (b"ID3\x04" + b"\0" * 400, "is not a WAV file"),
    "short": (b"RIFF\0\0", "is not a WAV file"),
    "cut": (GOOD[:20000], "is cut off: it promises 48000 bytes of sound and has "),
    "cut header": (GOOD[:30], "is cut off: it ends before its sound begins"),
    "no sound": (wav(np.zeros((0, 1))), "holds no sound (0 s)"),
    "no channels": (GOOD[:22] + b"\0\0" + GOOD[24:], "can't be decoded ("),
    "no rate": (GOOD[:24] + b"\0\0\0\0" + GOOD[28:], "can't be decoded ("),
    "unknown codec": (GOOD[:20] + b"\x99\x99" + GOOD[22:], "can't be decoded ("),
    "no format": (b"RIFF\x20\0\0\0WAVEdata\x04\0\0\0abcd", "can't be decoded ("),
    "unknown layout": (wav(np.zeros((2400, 9))), "can't be decoded ("),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_wav_is_named(save: Callable[[bytes], Path], data: bytes, message: str) -> None:
    path = save(data)
    with pytest.raises(AudioError) as caught:
        read_wav(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: there is no such file"):
        read_wav(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="is a folder, not a WAV file"):
        read_wav(tmp_path)


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is not a plain file"):
        read_wav(tmp_path / "pipe.wav")


def test_a_file_that_cannot_be_read() -> None:
    with pytest.raises(AudioError, match=r"/proc/self/mem can't be read: Input/output error"):
        read_wav(Path("/proc/self/mem"))  # not even root can, where nothing is mapped


def test_a_recording_has_the_caller_left_and_the_agent_right(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    recording = Recording(path)
    recording.write(np.array([1, 2, 3], np.int16), np.array([-1, -2, -3], np.int16))
    recording.write(np.array([4], np.int16), np.array([-4], np.int16))
    assert not path.exists()
    recording.commit()
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (2, 2, SAMPLE_RATE, 4)
        sides = np.frombuffer(file.readframes(4), "<i2").reshape(-1, 2)
    assert sides[:, 0].tolist() == [1, 2, 3, 4]
    assert sides[:, 1].tolist() == [-1, -2, -3, -4]
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_is_given_up_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"before")
    recording = Recording(path)
    recording.write(np.zeros(480, np.int16), np.zeros(480, np.int16))
    recording.discard()
    recording.commit()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder: name the WAV file"):
        Recording(tmp_path)
    with pytest.raises(AudioError, match=r"the folder .*/nowhere does not exist"):
        Recording(tmp_path / "nowhere" / "out.wav")


def test_a_disk_without_room_is_told_beforehand(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"MB free in .*, at least \d+ needed"):
        Recording(tmp_path / "out.wav", expected=1e12)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_runs_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"before")
    monkeypatch.setattr(sound.os, "getpid", lambda: "full")
    (tmp_path / ".out.wav.full.part").symlink_to("/dev/full")
    recording = Recording(path)
    with pytest.raises(AudioError, match="can't be written: No space left on device"):
        for _ in range(1000):
            recording.write(np.zeros(480, np.int16), np.zeros(480, np.int16))
    recording.write(np.zeros(480, np.int16), np.zeros(480, np.int16))
    with pytest.raises(AudioError, match="No space left on device"):  # whoever waits for the file is told
        recording.commit()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]

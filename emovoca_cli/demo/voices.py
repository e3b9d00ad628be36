"""The free text-to-speech engines of Debian, each speaking a text with the times of its phones.

flite prints its phones' ends, festival's segments are read through Scheme, espeak-ng reports phoneme events through its library.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from emovoca_cli.demo.phones import PHONE_SHAPES, SILENCE, VOWELS, Phone, arpabet, check_phones
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.types import Float

ESPEAK_ACCENTS = ("en-us", "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc")
ESPEAK_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt2", "klatt4", "Adam", "Alex",
    "Alicia", "Andrea", "Andy", "Annie", "belinda", "benjamin", "caleb", "david", "ed", "edward", "linda", "marco", "michael",
    "norbert", "rob", "robert", "steph", "travis", "victor", "zac", "Max", "Mike",
)  # fmt: skip
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
FESTIVAL_VOICES = ("kal_diphone",)
ENGINES = ("flite", "festival", "espeak")
PACKAGES = MappingProxyType({
    "flite": "flite",
    "festival": "festival festvox-kallpc16k festlex-cmu festlex-poslex",
    "espeak": "espeak-ng libespeak-ng1",
})  # fmt: skip
LICENCES = MappingProxyType({
    "flite": "CMU Flite voices, Carnegie Mellon University, free for any use with credit (BSD-like)",
    "festival": "Festival kal_diphone, Alan W Black and Kevin Lenzo, free for any use with credit (BSD-like)",
    "espeak": "spoken by espeak-ng, whose output is not bound by its GPL-3.0 licence",
})  # fmt: skip

_STOPS = frozenset({"P", "B", "T", "D", "K", "G", "CH", "JH"})
_LOUDNESS_OF_SILENCE = 10 ** (-50 / 20)
_LONGEST_CLOSURE = 0.11


@dataclass(frozen=True)
class Saying:
    """What an engine said: mono audio (N,) in -1..1, its rate (Hz) and its phones."""

    audio: Float
    rate: int
    phones: tuple[Phone, ...]


def check_engine(engine: str) -> None:
    """Raise UsageError that names the Debian packages to install when an engine is missing on this machine."""
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; choose from {', '.join(ENGINES)}")
    try:
        if engine == "espeak":
            _espeak()
        elif shutil.which(engine) is None:
            raise OSError(f"no program {engine}")
    except OSError as error:
        raise UsageError(f"{engine} is not usable here ({error}); on Debian: apt install {PACKAGES[engine]}") from error


def speak_text(engine: str, voice: str, text: str, *, stretch: float = 1.0, pitch: float = 1.0) -> Saying:
    """Say a text: stretch > 1 is slower, pitch > 1 is higher (both relative to the voice's own).

    Raises UsageError when the engine or the voice is missing and DataError when it says nothing usable.
    """
    speaker = {"flite": _speak_flite, "festival": _speak_festival, "espeak": _speak_espeak}.get(engine)
    if speaker is None:
        raise UsageError(f"there is no engine {engine!r}; choose from {', '.join(ENGINES)}")
    said = speaker(voice, text, stretch, pitch)
    if len(said.audio) < 0.2 * said.rate or not np.abs(said.audio).max() > 0.01:
        raise DataError(f"{engine} voice {voice} says nothing for {text!r}; choose another voice or text")
    return said


def _run(command: list[str], engine: str) -> str:
    """Standard output of a program, or a named error."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    except FileNotFoundError as error:
        raise UsageError(f"{engine} is not installed; on Debian: apt install {PACKAGES[engine]}") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = " ".join(str(getattr(error, "stderr", "") or error).split())[-200:]
        raise DataError(f"{engine} failed ({said}); on Debian its voices come with: apt install {PACKAGES[engine]}") from error


def _read(path: Path) -> tuple[Float, int]:
    import soundfile

    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return audio.mean(1), int(rate)


def _ends(pairs: list[tuple[str, float]]) -> tuple[Phone, ...]:
    """Phones from names and end times."""
    starts = [0.0, *(end for _, end in pairs[:-1])]
    return check_phones([(arpabet(name), start, end) for (name, end), start in zip(pairs, starts, strict=True)])


def _speak_flite(voice: str, text: str, stretch: float, pitch: float) -> Saying:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        options = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"f0_shift={pitch:.3f}"]
        printed = _run(["flite", "-voice", voice, "-psdur", *options, "-t", text, "-o", str(path)], "flite")
        audio, rate = _read(path)
    pairs = [(name, float(end)) for name, end in re.findall(r"(\S+):([\d.]+)", printed)]
    return Saying(audio, rate, _ends(pairs))


def _speak_festival(voice: str, text: str, stretch: float, pitch: float) -> Saying:
    quoted = text.replace("\\", "").replace('"', "")
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder) / "said.wav", Path(folder) / "say.scm"
        script.write_text(f"""(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch:.3f})
(set! int_lr_params '((target_f0_mean {105 * pitch:.1f}) (target_f0_std 14) (model_f0_mean 170) (model_f0_std 34)))
(set! said (utt.synth (eval (list 'Utterance 'Text "{quoted}"))))
(utt.save.wave said "{path}" 'riff)
(mapcar (lambda (s) (format t "%s:%f\\n" (item.name s) (item.feat s "end"))) (utt.relation.items said 'Segment))
""")
        printed = _run(["festival", "-b", str(script)], "festival")
        audio, rate = _read(path)
    return Saying(audio, rate, _ends([(name, float(end)) for name, end in re.findall(r"(\S+):([\d.]+)", printed)]))


_IPA: Mapping[str, str] = MappingProxyType({
    "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "oɪ": "OY", "aʊ": "AW", "oʊ": "OW", "əʊ": "OW", "tʃ": "CH", "dʒ": "JH", "n̩": "N",
    "l̩": "L", "m̩": "M", "iː": "IY", "uː": "UW", "ʉː": "UW", "ɑː": "AA", "aː": "AA", "ɔː": "AO", "oː": "AO", "ɜː": "ER",
    "eː": "EH", "ɛː": "EH", "ɒː": "AO", "i": "IY", "ɪ": "IH", "ᵻ": "IX", "ɨ": "IX", "e": "EH", "ɛ": "EH", "æ": "AE", "a":
    "AE", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "o": "OW", "ʊ": "UH", "u": "UW", "ʉ": "UW", "ʌ": "AH", "ɐ": "AH", "ə": "AX", "ɚ":
    "ER", "ɜ": "ER", "ɝ": "ER", "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "ɾ": "D", "ʔ": "T", "m":
    "M", "n": "N", "ŋ": "NG", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH",
    "x": "K", "ç": "HH", "l": "L", "ɫ": "L", "ɬ": "L", "ɹ": "R", "r": "R", "ɻ": "R", "ʁ": "R", "j": "Y", "w": "W", "ʍ": "W",
})  # fmt: skip
_IPA_MARKS = re.compile("[ˈˌːʲʰ̃̚ˑ̪͡]")


def ipa_phones(name: str) -> tuple[str, ...]:
    """ARPAbet phones of one espeak-ng phoneme in IPA; none for its pauses. Raises DataError for a sign it does not know."""
    left, found = name.strip(), []
    while left:
        for size in (2, 1):
            if left[:size] in _IPA:
                found.append(_IPA[left[:size]])
                left = left[size:]
                break
        else:
            if not _IPA_MARKS.match(left):
                raise DataError(f"espeak-ng's phoneme {name!r} is unknown; add it to the table of IPA signs")
            left = left[1:]
    return tuple(found)


class _EventName(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", _EventName),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_SYNCHRONOUS, _PHONEME_EVENTS_IN_IPA, _LIST_END, _PHONEME = 2, 3, 0, 7
_RATE, _PITCH, _UTF8 = 1, 3, 1


@cache
def _espeak() -> tuple[Any, int]:
    """The library, initialised once a process, and its sample rate (Hz)."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    rate = library.espeak_Initialize(_SYNCHRONOUS, 200, None, _PHONEME_EVENTS_IN_IPA)
    if rate <= 0:
        raise OSError("libespeak-ng finds no data")
    return library, int(rate)


def _speak_espeak(voice: str, text: str, stretch: float, pitch: float) -> Saying:
    try:
        library, rate = _espeak()
    except OSError as error:
        raise UsageError(f"espeak-ng is not usable here ({error}); on Debian: apt install {PACKAGES['espeak']}") from error
    pieces: list[bytes] = []
    events: list[tuple[str, float]] = []

    def collect(wave: Any, count: int, batch: Any) -> int:
        if count > 0:
            pieces.append(ctypes.string_at(wave, 2 * count))
        index = 0
        while batch[index].type != _LIST_END:
            if batch[index].type == _PHONEME:
                events.append((batch[index].id.string.decode("utf-8", "ignore"), batch[index].sample / rate))
            index += 1
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise UsageError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices=en` lists them")
    library.espeak_SetParameter(_RATE, round(165 / stretch), 0)
    library.espeak_SetParameter(_PITCH, round(50 * pitch), 0)
    said = text.encode() + b"\0"
    library.espeak_Synth(said, len(said), 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    audio: Float = (np.frombuffer(b"".join(pieces), "<i2") / np.float32(32768)).astype(np.float32)
    return Saying(audio, rate, _espeak_phones(events, audio, rate))


def _espeak_phones(events: list[tuple[str, float]], audio: Float, rate: int) -> tuple[Phone, ...]:
    """Phones from espeak-ng's events: compounds split, and stops started with their closure.

    espeak-ng marks a stop at its burst; the silence before belongs to it, so its start moves back over it.
    """
    duration = len(audio) / rate
    rows: list[list[Any]] = []
    for index, (name, start) in enumerate(events):
        end = events[index + 1][1] if index + 1 < len(events) else duration
        names = ipa_phones(name) or (SILENCE,)
        lengths = np.array([PHONE_SHAPES[phone].typical * (1.5 if phone in VOWELS else 1.0) for phone in names])
        edges = start + np.concatenate([[0], np.cumsum(lengths) / lengths.sum()]) * (end - start)
        rows.extend([phone, float(a), float(b)] for phone, a, b in zip(names, edges[:-1], edges[1:], strict=True))
    loud = np.abs(audio) > _LOUDNESS_OF_SILENCE * max(float(np.abs(audio).max()), 1e-9)
    for before, row in pairwise(rows):
        if row[0] not in _STOPS:
            continue
        low, high = round(max(before[1], row[1] - _LONGEST_CLOSURE) * rate), round(row[1] * rate)
        heard = np.flatnonzero(loud[low:high])
        begin = (low + int(heard[-1]) + 1 if len(heard) else low) / rate
        if row[1] - begin > 0.01:
            row[1] = before[2] = max(begin, before[1])
    return check_phones(rows)

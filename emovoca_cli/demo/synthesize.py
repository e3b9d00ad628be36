"""Make speech with phone times out of free text-to-speech voices: `python -m emovoca_cli.demo.synthesize --out DIR --count N`.

Needs the Debian packages of the engines in use (see `voices.PACKAGES`); says which are missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.demo.phones import SILENCE, Phone, check_phones
from emovoca_cli.demo.voices import (
    ENGINES,
    ESPEAK_ACCENTS,
    ESPEAK_VARIANTS,
    FESTIVAL_VOICES,
    FLITE_VOICES,
    LICENCES,
    check_engine,
    speak_text,
)  # fmt: skip
from emovoca_cli.errors import DataError, EmovocaError, UsageError
from emovoca_cli.files import atomic_write, check_output, write_json
from emovoca_cli.types import Float

SHARES = {"flite": 0.5, "espeak": 0.42, "festival": 0.08}
"""How often each engine is drawn."""
FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "wav": ("WAV", "PCM_16")}
EDGE_SILENCE = 0.25
"""Silence before and after the speech (s): a mouth moves before it sounds."""
TWO_SENTENCES = 0.2
"""How often an utterance is two sentences with a pause between."""
TRIES = 12
BUILTIN_SENTENCES = 64
BUILTIN_VOICES = (
    ("flite", "slt", 1.0, 1.0),
    ("flite", "rms", 1.0, 1.0),
    ("flite", "awb", 1.0, 1.0),
    ("espeak", "en-us+Annie", 1.0, 1.0),
    ("flite", "slt", 1.1, 1.06),
    ("flite", "kal16", 1.0, 1.0),
    ("espeak", "en-gb-x-rp+m3", 0.9, 1.0),
    ("flite", "rms", 0.9, 0.93),
    ("festival", "kal_diphone", 1.0, 1.0),
    ("flite", "awb", 1.1, 1.08),
    ("espeak", "en-us+Adam", 1.0, 1.0),
    ("flite", "slt", 0.9, 0.94),
    ("espeak", "en+f3", 1.0, 1.0),
)
"""Engine, voice, pitch and resampling of the shipped recordings, in turn."""


@dataclass(frozen=True)
class Job:
    """One utterance to make.

    stretch > 1 speaks slower, pitch > 1 higher; resample > 1 plays faster and higher, as a smaller head would sound.
    """

    id: str
    text: str
    engine: str
    voice: str
    stretch: float
    pitch: float
    resample: float


@dataclass(frozen=True)
class Report:
    """What a run made."""

    count: int
    seconds: float
    voices: int


def synthesize_corpus(
    out: Path,
    *,
    count: int,
    seed: int = 0,
    engines: Sequence[str] = ENGINES,
    workers: int = 2,
    audio_format: str = "flac",
    seconds: tuple[float, float] = (2.0, 7.0),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write `count` utterances to out/<id>.<format> + out/<id>.json and a manifest.json; utterances already there are kept.

    The same seed makes the same corpus. seconds: shortest and longest utterance. Raises UsageError for a missing engine or option.
    """
    if count < 1 or audio_format not in FORMATS:
        raise UsageError(
            f"cannot make {count} utterances as {audio_format!r}; give a count from 1 and a format of {', '.join(FORMATS)}"
        )
    for engine in engines:
        check_engine(engine)
    check_output(out, directory=True)
    out.mkdir(exist_ok=True)
    tasks = [(out, index, seed, tuple(engines), audio_format, seconds) for index in range(count)]
    records: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(max(1, workers)) as pool:
        for record in pool.imap(_make, tasks, chunksize=8):
            records.append(record)
            if progress:
                progress(len(records), count)
    total = sum(float(record["seconds"]) for record in records)
    voices = sorted({f"{record['engine']}/{record['voice']}" for record in records})
    manifest = {
        "schema": 1, "seed": seed, "count": count, "seconds": round(total, 1), "sample_rate": SAMPLE_RATE, "voices": voices,
        "licences": {engine: LICENCES[engine] for engine in engines}, "utterances": [record["id"] for record in records],
    }  # fmt: skip
    write_json(out / "manifest.json", manifest)
    return Report(len(records), total, len(voices))


def write_builtin_speech(out: Path) -> Report:
    """Write the recordings that ship with the package: our first sentences over `BUILTIN_VOICES`, out/<id>.ogg and out/phones.json.

    Raises UsageError for a missing engine.
    """
    import soundfile

    for engine in ENGINES:
        check_engine(engine)
    check_output(out, directory=True)
    out.mkdir(exist_ok=True)
    records, total = [], 0.0
    for index, text in enumerate(read_sentences()[:BUILTIN_SENTENCES]):
        engine, voice, pitch, resample = BUILTIN_VOICES[index % len(BUILTIN_VOICES)]
        job = Job(f"s{index + 1:02d}", text, engine, voice, stretch=1.0, pitch=pitch, resample=resample)
        audio, phones = make_utterance(job)
        with atomic_write(out / f"{job.id}.ogg") as temporary:
            soundfile.write(temporary, audio, SAMPLE_RATE, format="OGG", subtype="VORBIS")
        kept = {key: value for key, value in asdict(job).items() if key != "id"}
        records.append({"id": job.id, "file": f"{job.id}.ogg", **kept, "phones": rounded(phones)})
        total += len(audio) / SAMPLE_RATE
    voices = sorted({f"{engine}/{voice}" for engine, voice, _, _ in BUILTIN_VOICES})
    write_json(
        out / "phones.json",
        {"schema": 1, "sample_rate": SAMPLE_RATE, "licences": dict(LICENCES), "voices": voices, "utterances": records},
    )
    return Report(len(records), total, len(voices))


def make_utterance(job: Job) -> tuple[Float, tuple[Phone, ...]]:
    """Say one job: mono audio (N,) at 16 kHz with its peak at 0.8 and edges trimmed, and the phones in its time.

    Raises UsageError for a missing engine, DataError when it says nothing usable.
    """
    import soxr

    said = speak_text(job.engine, job.voice, job.text, stretch=job.stretch, pitch=job.pitch)
    audio = np.asarray(soxr.resample(said.audio, said.rate * job.resample, SAMPLE_RATE), np.float32)
    scaled = [(name, start / job.resample, end / job.resample) for name, start, end in said.phones]
    audio, phones = _trim(audio, scaled)
    return (audio * (0.8 / np.abs(audio).max())).astype(np.float32), phones


def plan_job(index: int, *, seed: int, engines: Sequence[str] = ENGINES, attempt: int = 0) -> Job:
    """Draw utterance `index` of a corpus: its sentence, voice and manner, from the seed alone."""
    draw = np.random.default_rng([seed, index, attempt])
    shares = np.array([SHARES[engine] for engine in engines])
    engine = engines[int(draw.choice(len(engines), p=shares / shares.sum()))]
    if engine == "espeak":
        variant = str(draw.choice(ESPEAK_VARIANTS))
        voice = str(draw.choice(ESPEAK_ACCENTS)) + (f"+{variant}" if variant else "")
    else:
        voice = str(draw.choice(FLITE_VOICES if engine == "flite" else FESTIVAL_VOICES))
    return Job(
        id=f"u{index:05d}",
        text=" ".join(draw_sentence(draw) for _ in range(2 if draw.random() < TWO_SENTENCES else 1)),
        engine=engine,
        voice=voice,
        stretch=round(float(draw.uniform(0.85, 1.25)), 3),
        pitch=round(float(draw.uniform(0.8, 1.3)), 3),
        resample=round(float(np.exp(draw.uniform(np.log(0.88), np.log(1.18)))), 3),
    )


def draw_sentence(draw: np.random.Generator) -> str:
    """One of our sentences, or more often one from the templates."""
    sentences = read_sentences()
    if draw.random() < 0.35:
        return sentences[int(draw.integers(len(sentences)))]
    templates, words = _read_templates()
    text = re.sub(r"{(\w+)}", lambda slot: str(draw.choice(words[slot[1]])), templates[int(draw.integers(len(templates)))])
    text = re.sub(r"\b([Aa]) (?=[aeio]|um|od)", r"\1n ", text)
    return text[0].upper() + text[1:]


@cache
def read_sentences() -> tuple[str, ...]:
    """Our own sentences, in the order of the file."""
    lines = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@cache
def _read_templates() -> tuple[tuple[str, ...], dict[str, list[str]]]:
    lines = Path(__file__).with_name("sentence_templates.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    lists = {match[1]: match[2].split("|") for line in lines if (match := re.match(r"(\w+): (.*\|.*)$", line))}
    return tuple(line for line in lines if not re.match(r"\w+: .*\|", line)), lists


def _make(task: tuple[Path, int, int, tuple[str, ...], str, tuple[float, float]]) -> dict[str, Any]:
    """Make and write one utterance of a corpus, unless it is there; returns its record."""
    import soundfile

    from emovoca_cli.files import read_json

    out, index, seed, engines, audio_format, (shortest, longest) = task
    sidecar = out / f"u{index:05d}.json"
    if sidecar.is_file():
        known = read_json(sidecar)
        return {key: known[key] for key in ("id", "engine", "voice", "seconds")}
    for attempt in range(TRIES):
        job = plan_job(index, seed=seed, engines=engines, attempt=attempt)
        try:
            audio, phones = make_utterance(job)
        except DataError:
            continue
        duration = len(audio) / SAMPLE_RATE
        if not shortest <= duration <= longest:
            continue
        kind, subtype = FORMATS[audio_format]
        with atomic_write(out / f"{job.id}.{audio_format}") as temporary:
            soundfile.write(temporary, audio, SAMPLE_RATE, format=kind, subtype=subtype)
        record = {**asdict(job), "seconds": round(duration, 4), "licence": LICENCES[job.engine], "phones": rounded(phones)}
        write_json(sidecar, record)
        return {key: record[key] for key in ("id", "engine", "voice", "seconds")}
    raise DataError(f"utterance {index} came out of {TRIES} tries without one of {shortest}-{longest} s; widen --seconds")


def rounded(phones: Sequence[Phone]) -> list[list[Any]]:
    """Phones as JSON keeps them, times to 0.1 ms."""
    return [[name, round(start, 4), round(end, 4)] for name, start, end in phones]


def _trim(audio: Float, phones: Sequence[Phone]) -> tuple[Float, tuple[Phone, ...]]:
    """Leave `EDGE_SILENCE` before the first and after the last sound: cut what is more, add what is missing."""
    spoken = [phone for phone in phones if phone[0] != SILENCE]
    if not spoken:
        raise DataError("no phone was spoken; choose another text")
    begin = round((spoken[0][1] - EDGE_SILENCE) * SAMPLE_RATE)
    end = round((spoken[-1][2] + EDGE_SILENCE) * SAMPLE_RATE)
    padded = np.pad(audio, (max(0, -begin), max(0, end - len(audio))))
    cut = padded[max(0, begin) : max(0, begin) + end - begin]
    shift = begin / SAMPLE_RATE
    inner = [phone for phone in phones if spoken[0][1] <= phone[1] < spoken[-1][2]]
    moved = [(name, start - shift, stop - shift) for name, start, stop in inner]
    return cut, check_phones([*moved, (SILENCE, moved[-1][2], len(cut) / SAMPLE_RATE)])


def _counted(stream: Any) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            stream.write(f"{done}/{total}\n")
            stream.flush()

    return show


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this tool; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emovoca_cli.demo.synthesize", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to (made if its parent exists)")
    parser.add_argument("--builtin", action="store_true", help="write the package's own recordings instead of a random corpus")
    parser.add_argument("--count", type=int, default=400, help="utterances (default 400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated, of flite, festival, espeak")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--format", default="flac", choices=sorted(FORMATS))
    parser.add_argument("--seconds", type=float, nargs=2, default=(2.0, 7.0), metavar=("SHORTEST", "LONGEST"))
    given = parser.parse_args(arguments)
    try:
        if given.builtin:
            report = write_builtin_speech(given.out)
        else:
            report = synthesize_corpus(
                given.out,
                count=given.count,
                seed=given.seed,
                engines=[name for name in given.engines.split(",") if name],
                workers=given.workers,
                audio_format=given.format,
                seconds=(given.seconds[0], given.seconds[1]),
                progress=_counted(sys.stderr),
            )
    except EmovocaError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{report.count} utterances, {report.seconds / 60:.1f} min, {report.voices} voices in {given.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Making a study: files of the systems in, a page for participants and a key for the maker out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.evaluation.takes import emotion_of
from emovoca_cli.files import hash_bytes, hash_file, read_json, write_json
from emovoca_cli.study.design import (
    CHOICES,
    EMOTION,
    LIP_SYNC,
    NAMING,
    QUESTIONS,
    SCHEMA,
    Design,
    Item,
    Trial,
    Video,
    balanced_plan,
    trials_of,
)  # fmt: skip
from emovoca_cli.study.media import CONTAINERS, Look, copy_video, look_at
from emovoca_cli.study.page import write_page
from emovoca_cli.study.sources import items_of, pair_files
from emovoca_cli.study.texts import read_texts
from emovoca_cli.types import Clip

MOST_EMBEDDED = 256 * 2**20
"""Bytes of video past which browsers choke on a page that holds them."""
_LENGTHS_DIFFER = 0.2


@dataclass(frozen=True)
class Request:
    """What a study is to be. systems: folders by name; choices: labels of the naming question, None for the paper's and the items'.

    participants: how many numbers are planned for; every: all systems against each other rather than the first against each.
    """

    systems: Mapping[str, Path]
    items: Mapping[str, Item] | None = None
    asks: tuple[str, ...] = QUESTIONS
    choices: tuple[str, ...] | None = None
    participants: int = 100
    ties: bool = False
    every: bool = False
    texts: Path | None = None
    embed: bool = False
    allow_missing: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """A study on disk: its design, the folder to hand out, and what its maker has to know."""

    design: Design
    page: Path
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """A file of a system, the video that shows it, and what that is."""

    file: Path
    video: Path
    look: Look


def make_study(
    out: Path,
    request: Request,
    *,
    draw: Callable[[Path, Path], None],
    looks: Callable[[Path], str],
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Write a study into the folder `out`: `page/` for participants, `key.json` for its maker.

    draw(clip, video) draws a clip (.npz); looks(clip) names all that the drawing depends on beside it, so that drawings are kept in
    `out/drawn` and made once. Raises UsageError, DataError, OutputError; a study of another design that is there already stays,
    unless `overwrite`.
    """
    _check(request)
    notes: list[str] = []
    files = pair_files(request.systems, allow_missing=request.allow_missing, note=notes.append)
    items = items_of(
        list(files), request.items, asks=request.asks, emotion_of=lambda name: _clip_emotion(files[name]), note=notes.append
    )
    choices = _choices(items, request.choices)
    texts = read_texts(request.texts, choices=choices)
    screens = trials_of(items, list(request.systems), every=request.every)
    sources = _sources(files, [item.name for item in items], out / "drawn", draw, looks, progress)
    notes += _differences(sources, list(request.systems))
    for item, systems, asks in screens:
        for system in systems:
            if LIP_SYNC in asks and not sources[item.name, system].look.sound:
                raise DataError(f"{sources[item.name, system].file} has no sound, and its lip-sync is to be judged; give --speech")
    out.mkdir(exist_ok=True)
    try:
        page = Path(tempfile.mkdtemp(prefix=".page-", dir=out))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        design = _design(request, items, choices, texts, screens, sources, page)
        _refuse_another(out, design, overwrite=overwrite)
        videos = {number: page / "videos" / video.file for number, video in design.videos.items()}
        if request.embed:
            size = sum(video.stat().st_size for video in videos.values())
            if size > MOST_EMBEDDED:
                raise UsageError(f"the videos have {size >> 20} MiB, a page holds {MOST_EMBEDDED >> 20}; leave out --embed")
        write_page(page / "index.html", design, embed=videos if request.embed else None)
        if request.embed:
            shutil.rmtree(page / "videos")
        write_json(out / "key.json", key_of(design, {video: sources[video].file for video in sources}))
        page.chmod(0o755)
        if (out / "page").exists():
            shutil.rmtree(out / "page")
        os.replace(page, out / "page")
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(page, ignore_errors=True)
    return Made(design, out / "page", notes)


def key_of(design: Design, files: Mapping[tuple[str, str], Path]) -> dict[str, Any]:
    """What only the maker keeps: the design with the system and item of every video."""
    return {
        "kind": "emovoca-study-key",
        "schema": SCHEMA,
        "emovoca": __version__,
        "study": design.study,
        "systems": list(design.systems),
        "items": [asdict(item) for item in design.items.values()],
        "choices": list(design.choices),
        "ties": design.ties,
        "seed": design.seed,
        "videos": {
            number: asdict(video) | {"source": str(files[video.item, video.system])} for number, video in design.videos.items()
        },
        "trials": [asdict(trial) for trial in design.trials],
        "plan": [list(row) for row in design.plan],
        "texts": dict(design.texts),
    }


def read_key(folder: Path) -> Design:
    """The design of a study from its maker's folder. Raises UsageError for none, DataError for a changed or newer one."""
    path = folder / "key.json"
    if not path.is_file():
        raise UsageError(f"{folder} has no key.json; give the folder that `emovoca study make --out` wrote")
    key = read_json(path)
    if not isinstance(key, dict) or key.get("kind") != "emovoca-study-key":
        raise DataError(f"{path} is no key of a study; give the folder that `emovoca study make --out` wrote")
    if key.get("schema") != SCHEMA:
        raise DataError(f"{path} has schema {key.get('schema')}, this version reads {SCHEMA}; update emovoca")
    try:
        design = Design(
            tuple(key["systems"]),
            {item["name"]: Item(**item | {"asks": tuple(item["asks"])}) for item in key["items"]},
            tuple(key["choices"]),
            bool(key["ties"]),
            int(key["seed"]),
            {
                number: Video(**{name: value for name, value in video.items() if name != "source"})
                for number, video in key["videos"].items()
            },
            tuple(Trial(tuple(one["videos"]), tuple(one["asks"]), one["emotion"]) for one in key["trials"]),
            tuple(tuple(row) for row in key["plan"]),
            key["texts"],
        )
        same = design.study == key["study"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is broken ({error}); restore it from a copy") from error
    if not same:
        raise DataError(f"{path} was changed after it was made: its id no longer fits; restore it from a copy")
    return design


def _check(request: Request) -> None:
    if request.participants < 1 or request.participants > 10_000:
        raise UsageError(f"--participants is {request.participants}, expected 1 to 10000")
    if request.seed < 0:
        raise UsageError(f"--seed is {request.seed}, expected 0 or more")


def _choices(items: Sequence[Item], given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The answers to "which emotion?": those given, else the paper's five and whatever else the items show."""
    shown = dict.fromkeys(item.emotion for item in items if item.emotion and {EMOTION, NAMING} & set(item.asks))
    if given is None:
        return tuple(dict.fromkeys((*CHOICES, *shown)))
    if len(set(given)) < 2 or len(set(given)) != len(given):
        raise UsageError(f"--choices is {','.join(given)}, expected two labels or more, each once")
    missing = [emotion for emotion in shown if emotion not in given]
    if missing:
        raise UsageError(f"--choices leaves out {missing[0]}, which is to be recognised; add it")
    return given


def _clip_emotion(files: Mapping[str, Path]) -> str | None:
    """The emotion that the clips of an item say they play; None for neutral, for videos, and for none said."""
    said = {emotion_of(Clip.load(path))[0] for path in files.values() if path.suffix.lower() == ".npz"} - {None, "neutral"}
    if len(said) > 1:
        where = ", ".join(str(path) for path in files.values())
        raise DataError(f"the clips of one item play different emotions ({', '.join(sorted(map(str, said)))}): {where}")
    return said.pop() if said else None


def _sources(
    files: Mapping[str, Mapping[str, Path]],
    names: Sequence[str],
    drawn: Path,
    draw: Callable[[Path, Path], None],
    looks: Callable[[Path], str],
    progress: Callable[[int, int], None] | None,
) -> dict[tuple[str, str], _Source]:
    """The video of every item and system, looked at; clips are drawn, under a name made of all that the drawing depends on."""
    wanted = [(name, system, path) for name in names for system, path in files[name].items()]
    found = {}
    for done, (name, system, path) in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        video = path
        if path.suffix.lower() not in CONTAINERS:
            video = drawn / f"{hash_bytes(hash_file(path).encode(), looks(path).encode())[:24]}.mp4"
            if not video.is_file():
                drawn.mkdir(parents=True, exist_ok=True)
                draw(path, video)
        found[name, system] = _Source(path, video, look_at(video))
    if progress is not None:
        progress(len(wanted), len(wanted))
    return found


def _differences(sources: Mapping[tuple[str, str], _Source], systems: Sequence[str]) -> list[str]:
    """What might give a system away or make a comparison unfair, in words."""
    notes = []
    sizes = {place: f"{one.look.size[0]}x{one.look.size[1]}" for place, one in sources.items()}
    rates = {place: f"{one.look.fps:g} fps" for place, one in sources.items()}
    for what, values in (("picture size", sizes), ("frame rate", rates)):
        seen = {system: sorted({value for (_, name), value in values.items() if name == system}) for system in systems}
        if len({tuple(mine) for mine in seen.values()}) > 1:
            words = "; ".join(f"{system} {', '.join(mine)}" for system, mine in seen.items())
            notes.append(f"the {what} tells the systems apart: {words}")
    for name in dict.fromkeys(item for item, _ in sources):
        lengths = [sources[name, system].look.seconds for system in systems]
        if max(lengths) - min(lengths) > _LENGTHS_DIFFER:
            notes.append(f"{name} lasts {min(lengths):.2f} to {max(lengths):.2f} s, depending on the system")
    return notes


def _design(
    request: Request,
    items: Sequence[Item],
    choices: tuple[str, ...],
    texts: Mapping[str, Any],
    screens: Sequence[tuple[Item, tuple[str, ...], tuple[str, ...]]],
    sources: Mapping[tuple[str, str], _Source],
    page: Path,
) -> Design:
    """Copy the videos under numbers that say nothing, and plan who sees what."""
    (page / "videos").mkdir()
    shown = list(dict.fromkeys((item.name, system, NAMING in asks) for item, systems, asks in screens for system in systems))
    rng = np.random.default_rng((request.seed, 0))
    width = max(3, len(str(len(shown))))
    numbers: dict[tuple[str, str, bool], str] = {}
    videos = {}
    for count, place in enumerate(rng.permutation(len(shown)), start=1):
        name, system, silent = shown[place]
        source = sources[name, system]
        number = f"{count:0{width}d}"
        numbers[name, system, silent] = number
        file = page / "videos" / f"{number}{CONTAINERS[source.video.suffix.lower()]}"
        copy_video(source.video, file, sound=source.look.sound and not silent)
        videos[number] = Video(name, system, file.name, source.look.seconds, hash_file(file))
    flipped = [len(systems) == 2 and bool(rng.integers(2)) for _, systems, _ in screens]
    trials = []
    for (item, systems, asks), flip in zip(screens, flipped, strict=True):
        order = tuple(numbers[item.name, system, NAMING in asks] for system in systems)
        trials.append(Trial(order[::-1] if flip else order, asks, item.emotion))
    strata = [None if NAMING in asks else (systems, item.group, asks) for item, systems, asks in screens]
    plan = balanced_plan(strata, flipped, participants=request.participants, seed=request.seed)
    return Design(
        tuple(request.systems), {item.name: item for item in items}, choices, request.ties, request.seed, videos, tuple(trials),
        plan, texts,
    )  # fmt: skip


def _refuse_another(out: Path, design: Design, *, overwrite: bool) -> None:
    """Keep the key of a study that may already have answers."""
    if (out / "key.json").exists() and not overwrite and read_json(out / "key.json").get("study") != design.study:
        raise UsageError(f"{out} holds another study, whose answers need its key; choose another --out or pass --overwrite")

"""A study on disk: what participants get, what stays with the maker, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.study.design import NAMING
from emovoca_cli.study.make import Made, make_study, read_key
from emovoca_cli.study.media import look_at
from emovoca_cli.study.sources import items_of, named_emotion, pair_files, read_items, read_systems
from emovoca_cli.study.texts import OWN, read_texts
from tests.study.conftest import made, request_of
from tests.study.videos import write_video

pytestmark = pytest.mark.unit


def inside(page: Path) -> dict[str, object]:
    text = (page / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script id="study" type="application/json">(.*?)</script>', text, re.S)
    assert found is not None
    content = json.loads(found[1])
    assert isinstance(content, dict)
    return content


def test_the_page_says_nothing_of_systems_and_the_key_says_all(study: tuple[Made, Path]) -> None:
    design, folder = study[0].design, study[1]
    page = folder / "page"
    text = (page / "index.html").read_text(encoding="utf-8")
    names = sorted(path.name for path in (page / "videos").iterdir())
    assert names == sorted(video.file for video in design.videos.values())
    assert all(re.fullmatch(r"\d+\.mp4", name) for name in names)
    for secret in ("ours", "other", "m1", "n1", "Test 1", "made by"):
        assert not re.search(rf"\b{secret}\b", json.dumps(inside(page))), secret
    for path in (page / "videos").iterdir():
        assert b"made by" not in path.read_bytes(), "the title of a video would give its maker away"
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket", text)
    silent = next(index for index, trial in enumerate(design.trials) if trial.asks == (NAMING,))
    assert "emotion" not in inside(page)["trials"][silent], "what a silent face wants is not in the page"  # type: ignore[index]
    assert inside(page)["study"] == design.study
    again = read_key(folder)
    assert again == design
    systems = {again.videos[number].system for trial in again.trials for number in trial.videos}
    assert systems == {"ours", "other"}


def test_silent_faces_have_no_sound_and_pairs_keep_theirs(study: tuple[Made, Path]) -> None:
    design, folder = study[0].design, study[1]
    for trial in design.trials:
        for number in trial.videos:
            look = look_at(folder / "page" / "videos" / design.videos[number].file)
            assert look.sound == (trial.asks != (NAMING,))
            assert look.size == (96, 96)
            assert look.seconds == pytest.approx(0.4, abs=0.06)


def test_the_first_of_a_pair_in_the_page_is_not_always_the_first_system(videos: Path, tmp_path: Path) -> None:
    firsts = set()
    for seed in range(4):
        design = made(tmp_path / str(seed), request_of(videos, seed=seed)).design
        firsts |= {design.videos[trial.videos[0]].system for trial in design.trials if len(trial.videos) == 2}
    assert firsts == {"ours", "other"}


def test_of_three_systems_the_first_meets_each_or_all_meet_all(videos: Path, tmp_path: Path) -> None:
    systems = {"ours": videos / "ours", "b": videos / "other", "c": videos / "ours"}
    for every, pairs in ((False, {"ours b", "ours c"}), (True, {"ours b", "ours c", "b c"})):
        design = made(tmp_path / str(every), request_of(videos, systems=systems, every=every)).design
        met = [sorted(design.videos[number].system for number in trial.videos) for trial in design.trials if len(trial.videos) == 2]
        assert {" ".join(pair) for pair in met} == {" ".join(sorted(pair.split())) for pair in pairs}
        assert len(met) == 3 * len(pairs), "two items of Test 1 and one of Test 2"
        for participant in range(1, 7):
            sides = [
                [design.videos[number].system for number in shown] for _, shown in design.shown(participant) if len(shown) == 2
            ]
            for pair in pairs:
                first = [side[0] == pair.split()[0] for side in sides if sorted(side) == sorted(pair.split())]
                assert 1 <= sum(first) <= 2, "of three, one or two have the first system as A"


def test_the_same_request_gives_the_same_study_and_another_is_not_written_over_it(videos: Path, tmp_path: Path) -> None:
    first = made(tmp_path / "study", request_of(videos))
    key = (tmp_path / "study" / "key.json").read_bytes()
    assert made(tmp_path / "study", request_of(videos)).design.study == first.design.study
    assert (tmp_path / "study" / "key.json").read_bytes() == key
    with pytest.raises(UsageError, match="another study, whose answers need its key"):
        made(tmp_path / "study", request_of(videos, seed=4))
    assert (tmp_path / "study" / "key.json").read_bytes() == key
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == ["key.json", "page"], "nothing half-made is left"
    request = request_of(videos, seed=4)
    other = make_study(tmp_path / "study", request, draw=lambda *_: None, looks=str, overwrite=True)
    assert read_key(tmp_path / "study") == other.design != first.design


def test_clips_are_drawn_once_and_again_when_they_or_their_looks_change(videos: Path, tmp_path: Path) -> None:
    folders = {}
    for system in ("ours", "other"):
        folders[system] = tmp_path / system
        folders[system].mkdir()
        for name in ("m1", "m2"):
            (folders[system] / f"{name}.npz").write_bytes(f"clip {system} {name}".encode())
    table = tmp_path / "items.csv"
    table.write_text("id,emotion,ask\nm1,happy,lip_sync\nm2,sad,lip_sync\n")
    drawn: list[str] = []

    def draw(clip: Path, out: Path) -> None:
        drawn.append(f"{clip.parent.name}/{clip.stem}")
        if len(drawn) == 3:
            raise KeyboardInterrupt
        shutil.copy(videos / "ours" / "m1.mp4", out)

    request = request_of(videos, systems=folders, items=read_items(table, asks=("lip_sync",)))
    with pytest.raises(KeyboardInterrupt):
        make_study(tmp_path / "study", request, draw=draw, looks=lambda _: "512")
    assert not (tmp_path / "study" / "page").exists()
    make_study(tmp_path / "study", request, draw=draw, looks=lambda _: "512")
    assert drawn == ["ours/m1", "other/m1", "ours/m2", "ours/m2", "other/m2"], "what was drawn before the interruption is kept"
    (folders["other"] / "m2.npz").write_bytes(b"another clip")
    make_study(tmp_path / "study", request, draw=draw, looks=lambda _: "512")
    assert drawn[5:] == ["other/m2"]
    make_study(tmp_path / "study", request, draw=draw, looks=lambda _: "256")
    assert len(drawn) == 10


def test_what_browsers_do_not_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"yuv444p, which not every browser shows; convert it"):
        look_at(write_video(tmp_path / "a" / "deep.mp4", pixels="yuv444p"))
    (tmp_path / "words.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"words.mp4 is not a readable video"):
        look_at(tmp_path / "words.mp4")
    assert look_at(write_video(tmp_path / "b" / "small.webm", tone=None)).sound is False


def test_lips_need_sound_and_differences_between_systems_are_said(videos: Path, tmp_path: Path) -> None:
    shutil.copytree(videos / "ours", tmp_path / "ours")
    shutil.copytree(videos / "other", tmp_path / "other")
    folders = {"ours": tmp_path / "ours", "other": tmp_path / "other"}
    write_video(tmp_path / "other" / "m1.mp4", size=64, seconds=0.9)
    notes = made(tmp_path / "study", request_of(videos, systems=folders)).notes
    assert "the picture size tells the systems apart: ours 96x96; other 64x64, 96x96" in notes
    assert any(re.fullmatch(r"m1 lasts 0\.\d+ to 0\.9\d* s, depending on the system", note) for note in notes), notes
    write_video(tmp_path / "other" / "m2.mp4", tone=None)
    with pytest.raises(DataError, match=r"other/m2.mp4 has no sound, and its lip-sync is to be judged"):
        made(tmp_path / "again", request_of(videos, systems=folders))
    write_video(tmp_path / "other" / "m2.mp4")
    write_video(tmp_path / "other" / "n1.mp4", tone=None)
    made(tmp_path / "third", request_of(videos, systems=folders))  # nobody listens to n1


def test_pairing_by_name(videos: Path, tmp_path: Path) -> None:
    shutil.copytree(videos / "ours", tmp_path / "ours")
    (tmp_path / "ours" / "w1.mp4").unlink()
    systems = {"ours": tmp_path / "ours", "other": videos / "other"}
    notes: list[str] = []
    with pytest.raises(DataError, match=r"1 of 4 items .*, the first: w1 is missing in ours; .*--allow-missing"):
        pair_files(systems, allow_missing=False, note=notes.append)
    assert list(pair_files(systems, allow_missing=True, note=notes.append)) == ["m1", "m2", "n1"]
    assert len(notes) == 1
    shutil.copy(tmp_path / "ours" / "m1.mp4", tmp_path / "ours" / "m1.webm")
    with pytest.raises(DataError, match=r"both m1\.mp4 and m1\.webm"):
        pair_files(systems, allow_missing=True, note=notes.append)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no video"):
        pair_files({"ours": tmp_path / "empty", "other": videos / "other"}, allow_missing=True, note=notes.append)
    for words, message in (
        (["ours"], "NAME=FOLDER"), (["a=."], "needs two"), (["a=.", "a=."], "twice"), (["a=.", "b=nowhere"], "not a folder"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            read_systems(words)


def test_emotions_come_from_the_table_the_clip_or_the_name() -> None:
    assert named_emotion("abel_s01_happy_2") == "happy"
    assert named_emotion("happy_or_sad") is None
    notes: list[str] = []
    asks = ("lip_sync", "naming")
    items = items_of(
        ["x_sad", "y", "z"], None, asks=asks, emotion_of=lambda name: "angry" if name == "y" else None, note=notes.append
    )
    assert [item.emotion for item in items] == ["sad", "angry", None]
    assert notes == ["1 of 3 items have no known emotion and are asked for lip-sync alone, the first: z"]
    with pytest.raises(DataError, match="z is to be asked for naming and its emotion is unknown"):
        items_of(["z"], None, asks=("naming",), emotion_of=lambda _: None, note=notes.append)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,emotion\na,happy\n", "needs a header"),
        ("id,emotion,colour\na,happy,red\n", "needs a header"),
        ("id,emotion\na,happy\na,sad\n", "line 3: the id 'a' is listed twice"),
        ("id,ask\na,dance\n", "line 2: 'dance' is no question; there are: lip_sync, emotion, naming"),
        ("id\n", "needs a header"),
    ],
)
def test_broken_tables_of_items(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "items.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_items(tmp_path / "items.csv", asks=("lip_sync",))


def test_choices_hold_all_that_is_to_be_recognised(videos: Path, tmp_path: Path) -> None:
    plain = request_of(videos)
    design = made(tmp_path / "own", replace(plain, choices=("angry", "sad", "happy"))).design
    assert design.choices == ("angry", "sad", "happy")
    with pytest.raises(UsageError, match="leaves out angry"):
        made(tmp_path / "less", replace(plain, choices=("happy", "sad")))
    for participants in (0, 10_001):
        with pytest.raises(UsageError, match="expected 1 to 10000"):
            made(tmp_path / "none", replace(plain, participants=participants))


def test_the_words_of_the_page_are_the_makers(videos: Path, tmp_path: Path) -> None:
    words = tmp_path / "texts.yaml"
    words.write_text("title: 'Visages </script> parlants'\nconsent: Accord.\nemotions: {happy: heureux}\n")
    folder = tmp_path / "study"
    made(folder, request_of(videos, texts=words))
    texts = inside(folder / "page")["texts"]
    assert isinstance(texts, dict)
    assert (texts["title"], texts["consent"]) == ("Visages </script> parlants", "Accord.")
    assert texts["emotions"]["happy"] == "heureux"
    assert texts["emotions"]["sad"] == "sad"
    for text, message in (
        ("titel: x", "there is no text 'titel'"), ("title: 3", "expected text"), ("progress: done", "other places to fill"),
        ("progress: '{done'", "brace too many"), ("- a", "holds no texts"), ("a: [", "not readable YAML"),
        ("emotions: {joy: x}", "names joy, which is no choice"), ("emotions: 3", "a word for each label"),
    ):  # fmt: skip
        words.write_text(text)
        with pytest.raises(DataError, match=message):
            read_texts(words, choices=("happy", "sad"))


def test_every_word_of_ours_is_used_by_the_page() -> None:
    script = (OWN.parent / "page" / "page.js").read_text(encoding="utf-8")
    for key in read_texts(None, choices=("happy", "sad")):
        kinds = key.startswith(("naming_", "pair_"))
        used = f"texts.{key}" in script or (kinds and '"_' + key.split("_")[1] + '"' in script)
        assert used or key in {"lip_sync", "emotion", "naming", "a", "b", "same"}, key


def test_a_changed_key_is_refused(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    made(folder, request_of(videos))
    key = json.loads((folder / "key.json").read_text())
    for change, message in (
        ({"schema": 2}, "schema 2, this version reads 1"), ({"kind": "x"}, "no key of a study"),
        ({"plan": key["plan"][:-1]}, "changed"),
        ({"videos": {}}, "changed"), ({"systems": 3}, "broken"),
    ):  # fmt: skip
        (folder / "key.json").write_text(json.dumps(key | change))
        with pytest.raises(DataError, match=message):
            read_key(folder)
    with pytest.raises(UsageError, match=r"has no key.json"):
        read_key(tmp_path)

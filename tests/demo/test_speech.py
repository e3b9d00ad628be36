"""The shipped recordings, speech folders, and the tool that makes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.demo import synthesize, voices
from emovoca_cli.demo.phones import BILABIALS, LABIODENTALS, SILENCE, VOWELS
from emovoca_cli.demo.speech import builtin_speech, read_speech_folder
from emovoca_cli.errors import DataError, UsageError

pytestmark = pytest.mark.unit

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "speech.wav"
HEARD = np.r_[np.zeros(8000), np.sin(np.arange(32000) * 0.1), np.zeros(8000)].astype(np.float32)


def test_builtin_speech_is_varied_and_small():
    spoken = builtin_speech()
    assert len(spoken) >= 60
    assert len({utterance.voice for utterance in spoken}) >= 8
    assert len({utterance.text for utterance in spoken}) == len(spoken)
    assert [utterance.id for utterance in spoken] == sorted(utterance.id for utterance in spoken)
    assert sum(utterance.path.stat().st_size for utterance in spoken) < 2_000_000
    names = [name for utterance in spoken for name, _, _ in utterance.phones]
    assert sum(name in BILABIALS for name in names) > 250
    assert sum(name in LABIODENTALS for name in names) > 120


@pytest.mark.parametrize("utterance", builtin_speech()[::5], ids=lambda utterance: utterance.id)
def test_phones_lie_where_the_sound_is(utterance):
    speech, rate = soundfile.read(utterance.path)
    assert rate == SAMPLE_RATE
    assert speech.ndim == 1
    assert utterance.phones[0][1] == 0
    assert utterance.phones[-1][2] == pytest.approx(len(speech) / rate, abs=1e-3)
    power = speech**2
    loud = np.percentile(np.convolve(power, np.ones(400) / 400, "same"), 90)

    def level(start, end):
        return 10 * np.log10(power[round(start * rate) : round(end * rate)].mean() / loud + 1e-9)

    vowels = [level(start, end) for name, start, end in utterance.phones if name in VOWELS]
    pauses = [level(s + 0.03, e - 0.03) for name, s, e in utterance.phones if name == SILENCE and e - s > 0.12]
    assert np.median(vowels) > -12
    assert max(pauses) < -25


def test_the_example_is_a_new_sentence():
    info = soundfile.info(EXAMPLE)
    assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
    assert 3.5 < info.duration < 6
    speech, _ = soundfile.read(EXAMPLE)
    assert 0.5 < np.abs(speech).max() <= 0.81


def write_utterance(folder, name, **changes):
    record = {"id": name, "text": "Mama.", "voice": "slt", "phones": [["M", 0.1, 0.2], ["AA1", 0.2, 0.4]], **changes}
    (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    soundfile.write(folder / f"{name}.flac", np.zeros(8000), SAMPLE_RATE)


def test_a_folder_reads_in_order(tmp_path):
    for name in ("u2", "u1"):
        write_utterance(tmp_path, name)
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    found = read_speech_folder(tmp_path)
    assert [item.id for item in found] == ["u1", "u2"]
    assert found[0].path == tmp_path / "u1.flac"
    assert found[0].phones == (("SIL", 0.0, 0.1), ("M", 0.1, 0.2), ("AA", 0.2, 0.4))


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_speech_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no utterances"):
        read_speech_folder(tmp_path)
    write_utterance(tmp_path, "u1", phones=[["QQ", 0, 1]])
    with pytest.raises(DataError, match=r"u1: unknown phone 'QQ'"):
        read_speech_folder(tmp_path)
    write_utterance(tmp_path, "u1", phones=[])
    with pytest.raises(DataError, match="has no phones"):
        read_speech_folder(tmp_path)
    write_utterance(tmp_path, "u1", text=3)
    with pytest.raises(DataError, match="expected id, text and phones"):
        read_speech_folder(tmp_path)
    write_utterance(tmp_path, "u1")
    (tmp_path / "u1.flac").unlink()
    with pytest.raises(DataError, match="no recording beside it"):
        read_speech_folder(tmp_path)


@pytest.fixture
def engine(monkeypatch):
    """A voice that hums: half a second of silence on each side of M AA M."""
    phones = (("SIL", 0.0, 0.5), ("M", 0.5, 1.0), ("AA", 1.0, 2.0), ("M", 2.0, 2.5), ("SIL", 2.5, 3.0))

    def hum(engine, voice, text, *, stretch=1.0, pitch=1.0):
        return voices.Saying(HEARD, SAMPLE_RATE, phones)

    monkeypatch.setattr(synthesize, "speak_text", hum)
    return phones


def test_resampling_moves_the_phones_with_the_sound(engine):
    for resample in (0.88, 1.0, 1.18):
        speech, phones = synthesize.make_utterance(synthesize.Job("x", "", "flite", "slt", 1.0, 1.0, resample))
        assert [name for name, _, _ in phones] == ["SIL", "M", "AA", "M", "SIL"]
        assert phones[1][1] == pytest.approx(synthesize.EDGE_SILENCE, abs=1e-4)
        assert phones[-1][2] == pytest.approx(len(speech) / SAMPLE_RATE, abs=1e-4)
        assert phones[2][2] - phones[2][1] == pytest.approx(1.0 / resample, abs=1e-4)
        first = np.flatnonzero(np.abs(speech) > 0.1)[0] / SAMPLE_RATE
        assert first == pytest.approx(phones[1][1], abs=0.003)
        assert np.abs(speech).max() == pytest.approx(0.8)


def test_plans_come_from_the_seed_alone_and_vary():
    plans = [synthesize.plan_job(index, seed=4) for index in range(200)]
    assert plans == [synthesize.plan_job(index, seed=4) for index in range(200)]
    assert plans != [synthesize.plan_job(index, seed=5) for index in range(200)]
    assert len({plan.text for plan in plans}) > 150
    assert {plan.engine for plan in plans} == set(voices.ENGINES)
    assert len({plan.voice for plan in plans}) > 40
    assert not any(sign in plan.text for plan in plans for sign in "{}|")
    assert {synthesize.plan_job(index, seed=4, engines=("festival",)).engine for index in range(9)} == {"festival"}


def test_sentences_are_enough_and_new():
    sentences = synthesize.read_sentences()
    assert len(sentences) == len(set(sentences)) >= 150
    assert all(sentence[-1] in ".?!" for sentence in sentences)


def test_missing_engines_name_their_packages(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="apt install flite"):
        voices.check_engine("flite")
    with pytest.raises(UsageError, match="festvox-kallpc16k"):
        synthesize.synthesize_corpus(tmp_path / "out", count=1, engines=("festival",))
    with pytest.raises(UsageError, match="choose from flite, festival, espeak"):
        voices.check_engine("siri")
    assert synthesize.main(["--out", str(tmp_path / "out"), "--engines", "flite"]) == 2
    assert "apt install flite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_stops_of_espeak_start_with_their_closure():
    rate = 16000
    audio = np.ones(rate, np.float32)
    audio[6000:8000] = 0
    events = [("ɑː", 0.0), ("p", 0.5), ("iː", 0.55), ("", 0.9)]
    phones = voices._espeak_phones(events, audio, rate)
    assert [name for name, _, _ in phones] == ["AA", "P", "IY", "SIL"]
    assert phones[1][1] == pytest.approx(0.39, abs=1e-3)  # the silence lasts 125 ms, at most 110 ms of it belong to a stop
    assert phones[0][2] == phones[1][1]


@pytest.mark.parametrize(("name", "voice"), [("flite", "slt"), ("espeak", "en-us"), ("festival", "kal_diphone")])
def test_installed_engines_speak(name, voice):
    try:
        voices.check_engine(name)
    except UsageError as error:
        pytest.skip(str(error))
    said = voices.speak_text(name, voice, "Mama bought five maps.")
    spoken = [phone for phone, _, _ in said.phones if phone != SILENCE]
    assert spoken[:2] == ["M", "AA"]
    assert {"B", "F", "V", "P", "S"} <= set(spoken)
    assert said.phones[-1][2] <= len(said.audio) / said.rate + 0.05

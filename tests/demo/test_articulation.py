"""The moving mouth: what dominance promises, checked on its tracks."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.demo.arkit import ARKIT_INDEX
from emovoca_cli.demo.articulation import JAW_CEILING, OPENERS, effort_from_speech, speak
from emovoca_cli.demo.phones import BILABIALS, LABIODENTALS, PHONE_SHAPES, SILENCE, VOWELS
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit

OPEN = [ARKIT_INDEX[name] for name in OPENERS]
JAW = ARKIT_INDEX["jawOpen"]


def spell(*names, start=0.3, typical=0.1, lengths=None):
    """Phones one after another, with silence before."""
    rows, now = [("SIL", 0.0, start)], start
    for index, name in enumerate(names):
        length = lengths[index] if lengths else typical
        rows.append((name, now, now + length))
        now += length
    return [*rows, ("SIL", now, now + 0.4)]


def move(rows, fps=30.0, **options):
    return speak(rows, fps=fps, frames=round(rows[-1][2] * fps), **options)


sounds = st.lists(st.tuples(st.sampled_from(sorted(PHONE_SHAPES)), st.floats(0.03, 0.3)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(sounds, st.sampled_from([24.0, 25.0, 30.0, 60.0]))
def test_every_bilabial_seals_two_frames_whatever_surrounds_it(drawn, fps):
    rows = spell(*(name for name, _ in drawn), lengths=[length for _, length in drawn])
    said = move(rows, fps)
    for name, start, end in rows:
        if name not in BILABIALS:
            continue
        near = np.abs(np.arange(len(said.closure)) / fps - (start + end) / 2) <= (end - start) / 2 + 1.5 / fps + 0.025
        assert (said.closure[near] == 1).sum() >= 2, name
    sealed = said.closure == 1
    assert not said.coefficients[np.ix_(sealed, OPEN)].any()
    np.testing.assert_allclose(said.coefficients[sealed][:, ARKIT_INDEX["mouthPressLeft"]], 0.9 if sealed.any() else 0, atol=0.1)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
def test_the_shortest_closure_seals_two_frames_at_any_phase(fps):
    for phase in np.linspace(0, 1, 11) / fps:
        said = move(spell("AA", "B", "AA", lengths=[0.2, 0.03, 0.2], start=0.3 + phase), fps)
        assert (said.closure == 1).sum() >= 2
        touching = move(spell("AA", "V", "AA", lengths=[0.2, 0.03, 0.2], start=0.3 + phase), fps)
        assert (touching.labiodental == 1).sum() >= 1


@settings(max_examples=60, deadline=None)
@given(sounds)
def test_tracks_stay_in_range_and_teeth_touch(drawn):
    rows = spell(*(name for name, _ in drawn), lengths=[length for _, length in drawn])
    said = move(rows)
    for track in (said.coefficients, said.closure, said.labiodental, said.rounding, said.envelope):
        assert np.isfinite(track).all()
        assert track.min() >= 0
        assert track.max() <= 1
    touching = said.labiodental == 1
    assert (said.coefficients[touching, JAW] <= 0.10 + 1e-6).all()
    for name, start, end in rows:
        if name in LABIODENTALS:
            frame = slice(max(0, int(start * 30) - 1), int(np.ceil(end * 30)) + 2)
            assert np.maximum(said.labiodental, said.closure)[frame].max() == 1


def test_mama_stays_sealed_for_the_whole_m():
    rows = spell("M", "AA", "M", "AA", lengths=[0.07, 0.24, 0.07, 0.24])
    said = move(rows, 120.0)
    times = np.arange(len(said.closure)) / 120
    for start in (0.3, 0.61):
        inside = (times >= start - 1e-9) & (times <= start + 0.9 * 0.07)
        assert (said.closure[inside] == 1).all()
        assert said.coefficients[inside][:, OPEN].max() == 0
    vowel = (times > 0.42) & (times < 0.5)
    assert said.closure[vowel].max() < 0.3
    assert said.coefficients[:, JAW].max() > 0.6 * 0.7 * load_visemes()["AA"][JAW]


def test_neighbouring_closures_leave_a_short_vowel_open():
    said = move(spell("B", "AA", "B", lengths=[0.08, 0.09, 0.08]), 120.0)
    centre = round((0.38 + 0.045) * 120)
    assert said.closure[centre] < 0.05
    assert said.coefficients[centre, JAW] > 0.1


def test_vowels_open_in_their_order():
    jaws = {
        name: float(move(spell("D", name, "D", lengths=[0.08, 0.2, 0.08])).coefficients[:, JAW].max())
        for name in ("AA", "EH", "IY", "UW")
    }
    assert jaws["AA"] > jaws["EH"] > jaws["IY"]
    assert jaws["EH"] > jaws["UW"]


@pytest.mark.parametrize("name", ["S", "Z", "SH", "CH"])
def test_teeth_stay_together_in_a_sibilant_between_open_vowels(name):
    said = move(spell("AA", name, "AA", lengths=[0.2, 0.12, 0.2]), 60.0)
    times = np.arange(len(said.closure)) / 60
    core = (times >= 0.52) & (times <= 0.59)
    assert said.coefficients[core, JAW].max() <= JAW_CEILING + 0.02


def test_rounding_starts_early_and_passes_through_tongue_consonants():
    pucker = ARKIT_INDEX["mouthPucker"]
    said = move(spell("UW", "T", "UW", lengths=[0.18, 0.08, 0.18]), 120.0)
    times = np.arange(len(said.closure)) / 120
    assert said.coefficients[(times > 0.45) & (times < 0.6), pucker].min() > 0.9
    early = move(spell("T", "UW", lengths=[0.1, 0.2]), 120.0).coefficients[:, pucker]
    assert early[round(0.36 * 120)] > 0.4
    spread = move(spell("W", "IY", lengths=[0.08, 0.16]), 120.0)
    assert spread.coefficients[round(0.48 * 120), pucker] < 0.05
    assert spread.coefficients[round(0.48 * 120), ARKIT_INDEX["mouthStretchLeft"]] > 0.3


def test_rounding_of_oo_is_never_scaled_down():
    said = move(spell("UW", lengths=[0.3]), effort=0.5)
    assert said.coefficients[:, ARKIT_INDEX["mouthPucker"]].max() == pytest.approx(0.95)
    assert said.coefficients[:, JAW].max() <= 0.5 * load_visemes()["UW"][JAW] + 1e-6


def test_short_pauses_stay_open_long_ones_close():
    press = ARKIT_INDEX["mouthPressLeft"]
    rows = [("SIL", 0, 0.3), ("AA", 0.3, 0.5), ("SIL", 0.5, 0.7), ("AA", 0.7, 0.9), ("SIL", 0.9, 2.0), ("AA", 2.0, 2.2)]
    said = move([*rows, ("SIL", 2.2, 3.0)])
    assert said.coefficients[18, JAW] > 0.02
    assert said.coefficients[18, press] < 0.05
    assert said.envelope[18] == 1
    assert said.coefficients[43, JAW] < 0.01
    assert said.coefficients[43, press] == pytest.approx(0.3, abs=0.02)
    assert said.envelope[43] == 0
    assert said.envelope[0] == 0
    assert said.envelope[-1] == 0


def test_silence_is_the_closed_rest():
    said = speak([], fps=30, frames=20)
    np.testing.assert_allclose(said.coefficients, np.tile(load_visemes()["sil"], (20, 1)), atol=0.01)
    assert not said.envelope.any()


def test_frames_are_samples_of_one_curve():
    """The coarse track is the fine one at the same times, but for frames that a closure was snapped to."""
    rows = spell("HH", "AH", "L", "OW", "W", "ER", "L", "D", "S", "IY", "V", "N")
    coarse, fine = move(rows, 30.0), move(rows, 120.0)
    same = np.maximum(coarse.labiodental, coarse.closure) < 1
    frames = len(coarse.closure)
    np.testing.assert_allclose(coarse.coefficients[same], fine.coefficients[::4][:frames][same], atol=1e-6)


def test_nothing_jumps():
    rows = spell("B", "AA", "T", "F", "IY", "M", "UW", "SH", "AE", "P", lengths=[0.08] * 10)
    fine = move(rows, 480.0)
    assert np.abs(np.diff(fine.coefficients, axis=0)).max() < 0.09


def test_a_track_reaches_the_reference_scores_by_construction():
    """Closure 1.0, open vowels over closures 1.0 (`AUC` of the field's phone scorer), on a random text."""
    draw = np.random.default_rng(3)
    names = [str(draw.choice(sorted(set(PHONE_SHAPES) - {SILENCE}))) for _ in range(120)]
    rows = spell(*names, lengths=[float(draw.uniform(0.05, 0.2)) for _ in names])
    said = move(rows)
    opening = said.coefficients[:, OPEN].sum(1) * (1 - said.closure)
    opening = opening / np.percentile(opening, 95)

    def part(start, end):
        return opening[int(start * 30) : int(np.ceil(end * 30)) + 1]

    lowest = [part(s, e).min() for n, s, e in rows if n in BILABIALS]
    pressed = [part(s, e).mean() for n, s, e in rows if n in BILABIALS]
    opened = [part(s, e).mean() for n, s, e in rows if n in {"AA", "AE", "AO", "AW", "AY"}]
    assert max(lowest) == 0
    assert np.mean([high > low for high in opened for low in pressed]) > 0.97


def test_effort_follows_loudness():
    time_axis = np.arange(16000) / 16000
    speech = (np.sin(2 * np.pi * 200 * time_axis) * np.where(time_axis < 0.5, 0.8, 0.02)).astype(np.float32)
    effort = effort_from_speech(speech, sample_rate=16000, fps=30, frames=30)
    assert effort.shape == (30,)
    assert effort[5] > 0.8
    assert effort[25] == pytest.approx(0.65, abs=0.02)
    loud = speak([("AA", 0.1, 0.9)], fps=30, frames=30, effort=effort)
    assert loud.coefficients[10, JAW] > 1.25 * loud.coefficients[24, JAW]


@pytest.mark.parametrize("options", [{"fps": 0, "frames": 3}, {"fps": 30, "frames": 0}, {"fps": 30, "frames": 3, "effort": 2.0}])
def test_senseless_requests_are_refused(options):
    with pytest.raises(UsageError):
        speak([("AA", 0, 0.1)], **options)


def test_a_corpus_takes_seconds():
    rows = spell(*(sorted(VOWELS)[index % 18] if index % 2 else "T" for index in range(50)), typical=0.08)
    begin = time.perf_counter()
    for _ in range(20):
        move(rows)
    assert time.perf_counter() - begin < 2

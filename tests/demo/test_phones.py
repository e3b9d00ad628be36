"""Phones: names, times, and the tables they point into."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.emotions import EMOTION_NAMES, emotion_coefficients, load_emotions
from emovoca_cli.demo.phones import PHONE_SHAPES, arpabet, check_phones
from emovoca_cli.demo.visemes import VISEME_NAMES, load_visemes, read_coefficients
from emovoca_cli.demo.voices import _IPA, ipa_phones
from emovoca_cli.errors import DataError, UsageError

pytestmark = pytest.mark.unit

CMU = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"  # the 39 of CMUdict


def test_every_cmu_phone_with_and_without_stress_has_a_shape():
    visemes = load_visemes()
    for name in CMU.split():
        assert arpabet(name) == arpabet(name.lower()) == name
        assert arpabet(name + "1") == name
    for name, shape in PHONE_SHAPES.items():
        assert shape.first.viseme in visemes, name
        assert shape.second is None or (shape.second.viseme in visemes and 0 < shape.split < 1), name
        assert set(shape.first.extra) <= set(ARKIT_INDEX)
        assert 0 < shape.minimum <= shape.typical


def test_unstressed_ah_is_schwa_and_silences_are_one():
    assert arpabet("AH0") == "AX"
    assert arpabet("AH1") == "AH"
    assert {arpabet(name) for name in ("pau", "SP", "sil", "+SPN+", "<sil>", "#")} == {"SIL"}


@pytest.mark.parametrize("name", ["XX", "PQ", "A1A", "7"])
def test_an_unknown_phone_is_named(name):
    with pytest.raises(DataError, match=f"unknown phone '{name}'"):
        arpabet(name)


def test_gaps_become_silence_and_empty_phones_go():
    phones = check_phones([["m", 0.1, 0.2], ["ah0", 0.2, 0.2], ["aa1", 0.202, 0.3], ["b", 0.4, 0.5]])
    assert phones == (("SIL", 0.0, 0.1), ("M", 0.1, 0.2), ("AA", 0.2, 0.3), ("SIL", 0.3, 0.4), ("B", 0.4, 0.5))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["M", 0.3, 0.2]], "0 <= start <= end"),
        ([["M", 0.0, float("nan")]], "0 <= start <= end"),
        ([["M", -0.1, 0.2]], "0 <= start <= end"),
        ([["M", 0.0, 0.2], ["AA", 0.1, 0.3]], "sort them"),
        ([["M", 0.0]], r"expected \[name, start, end\]"),
        ([["M", "now", 0.2]], r"expected \[name, start, end\]"),
    ],
)
def test_bad_times_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        check_phones(rows)


def test_ipa_compounds_split_into_known_phones():
    assert ipa_phones("tʃ") == ("CH",)
    assert ipa_phones("oːɹ") == ("AO", "R")
    assert ipa_phones("aɪɚ") == ("AY", "ER")
    assert ipa_phones("əl") == ("AX", "L")
    assert ipa_phones("") == ()
    assert {phone for sign in _IPA for phone in ipa_phones(sign)} <= set(PHONE_SHAPES)
    with pytest.raises(DataError, match="unknown"):
        ipa_phones("ǂ")


def test_tables_are_whole_and_visemes_are_symmetric():
    assert tuple(load_visemes()) == VISEME_NAMES
    assert set(load_emotions()) == set(EMOTION_NAMES)
    assert len(EMOTION_NAMES) == 14
    assert set(EMOTIONS_V2) <= set(EMOTION_NAMES)
    mirrored = [ARKIT_INDEX[name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")] for name in ARKIT_NAMES]
    for name, coefficients in load_visemes().items():
        assert np.array_equal(coefficients, coefficients[mirrored]), name
    assert not emotion_coefficients("neutral").any()


def test_what_seals_and_what_touches_the_teeth():
    closed, teeth = load_visemes()["PP"], load_visemes()["FF"]
    assert closed[ARKIT_INDEX["jawOpen"]] == 0
    assert closed[ARKIT_INDEX["mouthPressLeft"]] > 0.5
    assert teeth[ARKIT_INDEX["jawOpen"]] <= 0.10
    assert teeth[ARKIT_INDEX["mouthRollLower"]] > 0.2


def test_an_unknown_emotion_suggests_the_nearest():
    with pytest.raises(UsageError, match="did you mean happy"):
        emotion_coefficients("hapy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AA: {jawOpenn: 0.5}", "none of the 52 ARKit shapes"),
        ("AA: {jawOpen: 1.5}", "number in 0-1"),
        ("AA: {jawOpen: true}", "number in 0-1"),
        ("- AA", "not a table"),
        ("AA: [", "not readable YAML"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    path = tmp_path / "table.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_coefficients(path)

"""Templates and splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.data.splits import check_agreement, check_splits, split_of
from emovoca_cli.data.template import load_template, save_template
from emovoca_cli.errors import DataError, UsageError
from tests.data.fakes import grid

pytestmark = pytest.mark.unit


def test_a_template_comes_back_with_all_it_has(tmp_path: Path) -> None:
    template = grid()
    save_template(template, tmp_path / "t.npz")
    back = load_template(tmp_path / "t.npz")
    assert back.topology_hash == template.topology_hash
    for name in ("vertices", "faces", "landmark_faces", "landmark_weights", "colors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(template, name))
    assert set(back.regions) == set(template.regions)
    np.testing.assert_array_equal(back.regions["lips"], template.regions["lips"])
    (part,) = back.parts
    assert (part.name, part.drive) == ("ball", "jaw")
    np.testing.assert_array_equal(part.faces, template.parts[0].faces)
    save_template(back, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "t.npz").read_bytes()


def test_bad_templates_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_template(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="not an emovoca template"):
        load_template(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="not an emovoca template"):
        load_template(tmp_path / "other.npz")
    np.savez(tmp_path / "newer.npz", head=np.array('{"schema": 9}'))
    with pytest.raises(DataError, match="schema 9"):
        load_template(tmp_path / "newer.npz")


def test_every_subject_has_one_split() -> None:
    splits = check_splits({"train": ["a", "b"], "test": ["c"]}, "abc")
    assert splits == {"train": ("a", "b"), "val": (), "test": ("c",)}
    assert split_of(splits, "c") == "test"
    with pytest.raises(DataError, match="a is in the splits train and val"):
        check_splits({"train": ["a"], "val": ["a"]}, "a")
    with pytest.raises(DataError, match="b has clips but no split"):
        check_splits({"train": ["a"]}, "ab")
    with pytest.raises(DataError, match="b has a split but no data"):
        check_splits({"train": ["a", "b"]}, "a")
    with pytest.raises(DataError, match="unknown split 'dev'"):
        check_splits({"dev": ["a"]}, "a")
    with pytest.raises(DataError, match="no split"):
        split_of(splits, "z")
    check_agreement({"train": ("a",)}, {"train": ("a", "b")})
    with pytest.raises(DataError, match="a is in split train of one set and test"):
        check_agreement({"train": ("a",)}, {"test": ("a",)})

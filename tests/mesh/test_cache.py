"""The cache: found again, told apart, repaired, dispensable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.mesh import cache
from emovoca_cli.mesh.hierarchy import Hierarchy, hierarchy_of
from emovoca_cli.types import MeshTemplate
from tests.mesh.meshes import sphere, template_of

pytestmark = pytest.mark.unit


@pytest.fixture
def template() -> MeshTemplate:
    vertices, faces = sphere(2)
    return template_of(vertices, faces, vertices[:68])


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the templates for which a hierarchy was really built."""
    built: list[str] = []
    original = cache.build_hierarchy

    def counting(template: MeshTemplate, *, levels: int = 4, factor: int = 4) -> Hierarchy:
        built.append(template.name)
        return original(template, levels=levels, factor=factor)

    monkeypatch.setattr(cache, "build_hierarchy", counting)
    return built


def test_the_second_time_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: MeshTemplate, builds: list[str]
) -> None:
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path / "deep" / "cache"))
    first = cache.cached_hierarchy(template, levels=2)
    second = cache.cached_hierarchy(replace(template, name="other name"), levels=2)
    assert builds == ["test"]
    (entry,) = (tmp_path / "deep" / "cache").iterdir()
    assert entry.name.startswith("hierarchy-")
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(second.arrays()[name], array)


def test_what_the_result_depends_on_makes_another_entry(template: MeshTemplate) -> None:
    moved = template.vertices.copy()
    moved[5, 1] += 1e-6
    keys = {
        cache.hierarchy_key(template),
        cache.hierarchy_key(template, levels=3),
        cache.hierarchy_key(template, factor=3),
        cache.hierarchy_key(replace(template, vertices=moved)),
        cache.hierarchy_key(replace(template, faces=np.roll(template.faces, 1, axis=0))),
        cache.hierarchy_key(replace(template, landmark_faces=template.landmark_faces[::-1])),
        cache.hierarchy_key(replace(template, landmark_weights=template.landmark_weights[:, ::-1])),
    }
    assert len(keys) == 7
    assert cache.hierarchy_key(replace(template, faces=template.faces.astype(np.int64), name="x")) == cache.hierarchy_key(template)


@pytest.mark.parametrize("damage", ["empty", "half", "junk", "another", "folder"])
def test_a_damaged_entry_is_built_anew_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: MeshTemplate, builds: list[str], damage: str
) -> None:
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path))
    whole = cache.cached_hierarchy(template, levels=1)
    (entry,) = tmp_path.iterdir()
    content = entry.read_bytes()
    if damage == "another":
        hierarchy_of(*sphere(1), 0, levels=1).save(entry)
    elif damage == "folder":
        entry.unlink()
        entry.mkdir()
    else:
        entry.write_bytes({"empty": b"", "half": content[: len(content) // 2], "junk": b"\0" * 99}[damage])
    again = cache.cached_hierarchy(template, levels=1)
    assert len(builds) == 2
    np.testing.assert_array_equal(again.levels[1].spirals, whole.levels[1].spirals)
    if damage != "folder":
        assert Hierarchy.load(entry).sizes == whole.sizes
    assert [found.name for found in tmp_path.iterdir()] == [entry.name], "no leftovers"


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: MeshTemplate, builds: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert cache.cached_hierarchy(template, levels=1).sizes == (162, 41)
    assert builds == ["test", "test"]


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path))
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv("EMOVOCA_CACHE")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.cache_folder() == Path.home() / ".cache" / "emovoca"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "emovoca"

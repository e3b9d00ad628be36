"""Models to and from the Hub, where a local folder stands in for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from emovoca_cli.cli.app import run
from emovoca_cli.errors import CheckpointError, UsageError
from emovoca_cli.generators.load import load_generator
from emovoca_cli.runtime.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from emovoca_cli.runtime.hub import CARD, ENVIRONMENT, is_hub_name, model_card, pull, push

pytestmark = pytest.mark.unit


def save(folder: Path, kind: str = "toy", licence: str = "MIT") -> Path:
    folder.mkdir(parents=True)
    save_checkpoint(
        folder, kind=kind, state={"w": torch.arange(3.0)}, config={"n": 3}, licence=licence, provenance={"data": {"talk": "abc"}}
    )
    return folder


def test_a_model_goes_to_the_hub_and_back_without_what_could_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save(tmp_path / "model")
    (model / "report.json").write_text(json.dumps({"test": {"l2_mm": 1.2345}}), encoding="utf-8")
    (model / "training").mkdir()
    (model / "training" / "state.safetensors").write_bytes(b"large")
    (model / "evil.pkl").write_bytes(b"cos\nsystem\n")
    assert run(["push", str(model), "anna/toy", "--to", str(tmp_path / "hub"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["name"] == "anna/toy"
    assert f"{ENVIRONMENT}={tmp_path / 'hub'}" in said.err.replace("\n", "")
    sent = tmp_path / "hub" / "anna" / "toy"
    assert sorted(path.name for path in sent.iterdir()) == ["README.md", "config.json", "model.safetensors", "report.json"]
    card = (sent / CARD).read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: mit\n")
    assert "## toy" in card
    assert "| l2_mm | 1.234 |" in card or "| l2_mm | 1.235 |" in card
    assert "- data: talk abc" in card

    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "hub"))
    assert load_checkpoint("anna/toy", kind="toy").state["w"].tolist() == [0.0, 1.0, 2.0]
    (sent / "evil.pkl").write_bytes(b"cos\nsystem\n")
    assert run(["pull", "anna/toy", "--out", str(tmp_path / "copy"), "--quiet"]) == 0
    assert not (tmp_path / "copy" / "evil.pkl").exists()
    assert load_checkpoint(tmp_path / "copy", kind="toy").licence == "MIT"
    assert run(["pull", "anna/toy", "--out", str(tmp_path / "copy"), "--quiet"]) == 2


def test_a_damaged_copy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(save(tmp_path / "model"), "anna/toy", to=tmp_path / "hub")
    (tmp_path / "hub" / "anna" / "toy" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "hub"))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint("anna/toy", kind="toy")


def test_a_pair_travels_as_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "pair" / "s2l", kind="s2l", licence="CC BY-NC 4.0")
    save(tmp_path / "pair" / "s2d", kind="s2d")
    card = model_card(tmp_path / "pair", "anna/pair")
    assert "license: other" in card
    save(tmp_path / "demo", licence="MIT (emovoca demo corpus)")
    assert "license: mit" in model_card(tmp_path / "demo", "anna/demo")
    save(tmp_path / "mixed", licence="MIT (emovoca demo corpus); CC BY-NC 4.0")
    assert "license: other" in model_card(tmp_path / "mixed", "anna/mixed")
    assert "CC BY-NC 4.0; MIT" in card
    assert card.index("## s2l (s2l/)") < card.index("## s2d (s2d/)")
    push(tmp_path / "pair", "anna/pair", to=tmp_path / "hub")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "hub"))
    assert load_checkpoint(pull("anna/pair") / "s2d", kind="s2d").config == {"n": 3}
    with pytest.raises(UsageError, match="is a pair"):
        load_checkpoint("anna/pair", kind="s2l")


def test_a_generator_is_loaded_by_its_name_in_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s2l", "s2d"):
        shutil.copytree(find_checkpoint(name), tmp_path / "pair" / name)
    push(tmp_path / "pair", "anna/speaker", to=tmp_path / "hub")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "hub"))
    assert load_generator("anna/speaker").hashes == load_generator("s2l").hashes


def test_names_and_places_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save(tmp_path / "model")
    for name in ("toy", "a/b/c", "../evil", "anna/..", "anna/", "/etc"):
        assert not is_hub_name(name)
        with pytest.raises(UsageError, match="write it as user/name"):
            push(model, name, to=tmp_path / "hub")
        with pytest.raises(UsageError, match="write it as user/name"):
            pull(name, source=tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no model"):
        push(tmp_path / "empty", "anna/toy", to=tmp_path / "hub")
    with pytest.raises(UsageError, match="no model anna/toy in"):
        pull("anna/toy", source=tmp_path / "hub")
    monkeypatch.chdir(tmp_path)
    assert not is_hub_name("model/config.json")


def test_without_a_network_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("Name or service not known\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", unreachable)
    assert run(["pull", "anna/toy", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "cannot be fetched from the Hub (ConnectionError: Name or service not known second line)" in told
    assert told.count("\n") == 1
    assert run(["push", str(save(tmp_path / "model")), "anna/toy", "--quiet"]) == 1
    assert "hf auth login" in capsys.readouterr().err

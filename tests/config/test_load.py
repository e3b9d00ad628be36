"""Files and overrides onto settings; what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from emovoca_cli.config.desd import PRESETS, DesdConfig, DesdSizes, preset
from emovoca_cli.config.load import load_config, plain_values, with_values
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit


def test_overrides_win_over_the_file_and_the_file_over_the_base(tmp_path: Path) -> None:
    file = tmp_path / "desd.yaml"
    file.write_text("steps: 50\nlr: 1e-4\nsizes:\n  latent: 8\n", encoding="utf-8")
    config = load_config(preset("small"), file=file, overrides=["steps=7", "sizes.encoder=[1, 2, 3, 4]", "storage=float16"])
    small = PRESETS["small"]
    assert config == DesdConfig(sizes=replace(small, latent=8, encoder=(1, 2, 3, 4)), steps=7, lr=1e-4, storage="float16")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing\n", encoding="utf-8")
    assert load_config(DesdConfig(), file=file) == DesdConfig()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=3", "unknown setting 'stepz' in stepz=3; did you mean 'steps'?"),
        ("sizes.latnt=3", "unknown setting 'latnt' in sizes.latnt=3; did you mean 'latent'?"),
        ("xyzzy=3", "unknown setting 'xyzzy' in xyzzy=3; known: steps, lr, warmup"),
        ("steps", "cannot read the setting 'steps'; write it as key=value"),
        ("steps=many", "'steps' in steps=many is 'many', expected int"),
        ("steps=2.5", "'steps' in steps=2.5 is 2.5, expected int"),
        ("steps=true", "'steps' in steps=true is True, expected int"),
        ("symmetric=1", "'symmetric' in symmetric=1 is 1, expected bool"),
        ("lr=fast", "'lr' in lr=fast is 'fast', expected float"),
        ("lr=[", "cannot read the value in 'lr=['"),
        ("sizes=3", "'sizes' in sizes=3 is a group of settings, got 3"),
        ("sizes.encoder=16", "'encoder' in sizes.encoder=16 is 16, expected a list"),
        ("storage=float8", "'storage' in storage=float8 is 'float8', expected one of float16, float32"),
        ("steps=0", "steps is 0, it has to be above 0"),
        ("sizes.encoder=[1, 2]", "encoder [1, 2] and decoder [64, 32, 32, 16] need as many entries"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(DesdConfig(), overrides=[override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_config(DesdConfig(), file=tmp_path / "none.yaml")
    for text, message in (
        ("a: [", "not readable YAML"),
        ("- 1\n", "holds list, expected settings"),
        ("stes: 1\n", "did you mean 'steps'"),
    ):
        file = tmp_path / "bad.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=message):
            load_config(DesdConfig(), file=file)


def test_settings_survive_json() -> None:
    config = DesdConfig(sizes=DesdSizes(encoder=(1, 2), decoder=(3, 4), latent=5), lr=0.25)
    assert with_values(DesdConfig(), json.loads(json.dumps(plain_values(config))), where="json") == config


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UsageError, match="unknown preset 'huge'; choose paper or small"):
        preset("huge")

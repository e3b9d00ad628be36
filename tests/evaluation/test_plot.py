"""The bars of Figure 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emovoca_cli.cli.app import run
from tests.evaluation import worked

pytestmark = pytest.mark.unit


def test_bars_by_emotion_and_intensity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason='plots are not installed: pip install "emovoca[plots]"')
    monkeypatch.chdir(tmp_path)
    worked.write(tmp_path)
    head = ["evaluate", "score", "--pred", "pred", "--truth", "truth", "--lips", "lips.txt", "--upper", "upper.txt", "--quiet"]
    assert run([*head, "--plot", "bars.png"]) == 1
    assert "nothing to plot" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("id,emotion,intensity\nA,happy,1\nB,sad,2\n")
    assert run([*head, "--labels", "labels.csv", "--plot", "bars.png"]) == 0
    with Image.open(tmp_path / "bars.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert run([*head, "--plot", "bars.txt"]) == 2
    assert ".svg" in capsys.readouterr().err

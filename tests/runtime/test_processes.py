"""Two processes (gloo, on the CPU) end with the weights of one process that has the doubled batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from emovoca_cli.data.store import Store
from emovoca_cli.desd.train import train_desd
from emovoca_cli.errors import UsageError
from emovoca_cli.generators.train_faceformer import train_faceformer
from emovoca_cli.generators.train_s2d import train_s2d
from emovoca_cli.generators.train_s2l import train_s2l
from emovoca_cli.runtime.processes import Share, average_gradients, join
from tests.desd.fakes import write_stores
from tests.runtime.together import DESD, FACEFORMER, S2D, S2L, TOY, RestlessSource, double, toy

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left, started as a launcher starts them."""
    folder = tmp_path_factory.mktemp("together")
    for name in ("stores", "speech-0", "speech-1"):
        (folder / name).mkdir()
    write_stores(folder / "stores")
    (folder / "sizes.yaml").write_text("sizes: {encoder: [4, 8], decoder: [8, 6], latent: 8}", encoding="utf-8")
    shared = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "EMOVOCA_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "tests.runtime.together", str(folder)]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank, process in enumerate(started):
            answer, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-3000:]
            (folder / f"said-{rank}").write_text(answer + "\0" + errors, encoding="utf-8")
    finally:
        for process in started:
            process.kill()
    return folder


def apart(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Largest difference, as a share of the largest weight of its tensor."""
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max() / second[name].abs().max().clamp_min(1e-6)) for name in first)


def stored(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_masked_losses_average_over_all_frames_not_over_the_processes(work: Path, tmp_path: Path) -> None:
    one = toy(tmp_path, double(TOY)).state_dict()
    zero, other = (torch.load(work / f"toy-{rank}.pt") for rank in range(2))
    assert apart(zero, other) == 0
    assert apart(zero, one) < 1e-5
    # the twin is sharp enough to tell: without the counts the shares would not average to the whole
    single = toy(tmp_path / "single", TOY).state_dict()
    assert apart(single, one) > 1e-2


def test_an_interrupted_pair_stops_at_one_step_and_resumes_exactly(work: Path) -> None:
    assert (work / "stopped-0").exists()
    assert (work / "stopped-1").exists()
    starts = json.loads((work / "stopped" / "training" / "run.json").read_text(encoding="utf-8"))["starts"]
    assert [start["step"] for start in starts] == [0, 34]
    assert all(start["environment"]["processes"] == 2 for start in starts)
    for rank in range(2):
        assert apart(torch.load(work / f"resumed-{rank}.pt"), torch.load(work / "toy-0.pt")) == 0
    with pytest.raises(UsageError, match="run with other processes"):
        toy(work / "stopped", TOY, resume=True)


def test_desd_of_two_processes_is_desd_of_the_doubled_batch(work: Path, tmp_path: Path) -> None:
    train_desd(double(DESD), Store(work / "stores" / "talk"), Store(work / "stores" / "expression"), tmp_path)
    assert apart(stored(work / "desd"), stored(tmp_path)) < 1e-5


def test_generators_of_two_processes_are_those_of_the_doubled_batch(work: Path, tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    source = RestlessSource(tmp_path / "speech")
    for name, train, config in (("s2l", train_s2l, S2L), ("s2d", train_s2d, S2D), ("faceformer", train_faceformer, FACEFORMER)):
        train(double(config), source, tmp_path / name)  # type: ignore[operator]
        assert apart(stored(work / name), stored(tmp_path / name)) < 1e-5, name


def test_only_the_first_process_decodes_and_writes(work: Path) -> None:
    assert int((work / "decoded-0").read_text(encoding="utf-8")) > 0
    assert int((work / "decoded-1").read_text(encoding="utf-8")) == 0
    lines = [json.loads(line) for line in (work / "toy" / "training" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(5, 61, 5))


def test_only_the_first_process_speaks(work: Path) -> None:
    answer, errors = (work / "said-0").read_text(encoding="utf-8").split("\0")
    told = json.loads(answer[answer.index("{") :])
    assert told["out"] == str(work / "cli")
    assert told["report"] == json.loads((work / "cli" / "report.json").read_text(encoding="utf-8"))
    assert "after 8 steps" in errors
    other, errors = (work / "said-1").read_text(encoding="utf-8").split("\0")
    assert "{" not in other
    assert "steps" not in errors


@pytest.mark.unit
def test_shares_cover_a_step_once() -> None:
    parts = [Share(5, part, 4) for part in range(4)]
    assert [sample for share in parts for sample in share.samples(3)] == list(range(60, 72))
    assert [share.index(2) for share in parts] == [8, 9, 10, 11]
    assert [(share.rows(3).start, share.rows(3).stop) for share in parts] == [(0, 3), (3, 6), (6, 9), (9, 12)]


@pytest.mark.unit
def test_one_process_alone_has_its_own_gradients_and_flag() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    alone = join(torch.device("cpu"))
    assert average_gradients(alone, [weight], flag=True)
    assert not average_gradients(alone, [weight], flag=False)
    assert weight.grad.tolist() == [1.0, 2.0]

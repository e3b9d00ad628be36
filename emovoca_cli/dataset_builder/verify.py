"""Proves a dataset whole: every file by its hash, the counts against the plan, the talk store it speaks with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emovoca_cli.data.folder import check_files
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.errors import DataError, UsageError


@dataclass(frozen=True)
class VerifyReport:
    """What `verify_dataset` found: one line a problem, each naming its file; none means whole."""

    files: int
    bytes: int
    sequences: int
    problems: tuple[str, ...]


def verify_dataset(root: Path, *, talk: Path | None = None) -> VerifyReport:
    """Check a dataset and the speech and neutral talk it refers to.

    Raises UsageError or DataError when it cannot be opened at all.
    """
    dataset = EmoDataset(root, talk=talk)
    rows = dataset.files
    problems = check_files(root, rows)
    per_clip = len(dataset.emotions) * len(dataset.mu_e)
    counts = dataset.manifest.get("counts", {})
    clips = dataset.manifest["clips"]
    present = dataset.manifest.get("present")
    if present is not None:
        wanted = [f"sequences/{name}.npy" for name in present] + list(dataset.manifest["speech"].values())
        problems.extend(f"{path}: not listed in manifest.json" for path in wanted if path not in rows)
        return VerifyReport(len(rows), sum(row.bytes for row in rows.values()), len(dataset), tuple(problems))
    if counts.get("sequences") != len(clips) * per_clip:
        problems.append(f"manifest.json: counts {counts.get('sequences')} sequences, its plan has {len(clips)} x {per_clip}")
    for clip_id, _, _ in clips:
        if dataset.store == "latent":
            wanted = [f"talk/{clip_id}.npy", f"opening/{clip_id}.npy"]
        else:
            wanted = [f"sequences/{clip_id}_{emotion}_{level}.npy" for emotion in dataset.emotions for level in dataset.mu_e]
        problems.extend(f"{path}: not listed in manifest.json" for path in wanted if path not in rows)
    try:
        problems.extend(f"talk store {dataset.talk.root.name}/{line}" for line in dataset.talk.verify())
    except (DataError, UsageError) as error:
        problems.append(str(error))
    return VerifyReport(len(rows), sum(row.bytes for row in rows.values()), len(dataset), tuple(problems))

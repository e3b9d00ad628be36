"""Two sequences of four vertices whose every score can be worked out by hand. Lips are 0 and 1, the upper face 2 and 3.

A, two frames: errors of 5 (vertex 0) and 1 (vertex 1), then 2 (vertex 0) and 1 (vertex 2, which moves by 2 and is predicted to
move by 1). B, three frames: an error of 10 (vertex 1), none, then 3 (vertex 3, which is still and is predicted to move by 3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.types import Clip

Array = NDArray[np.float64]
REST = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64)


def sequences() -> dict[str, tuple[Array, Array]]:
    """Prediction and truth (T,4,3) by name."""
    a_truth = np.stack([REST, REST])
    a_truth[1, 2, 0] += 2
    a = a_truth.copy()
    a[0, 0] += (3, 4, 0)
    a[0, 1] += (0, 0, 1)
    a[1, 0] += (0, 0, 2)
    a[1, 2, 0] -= 1
    b_truth = np.stack([REST] * 3)
    b = b_truth.copy()
    b[0, 1] += (0, 6, 8)
    b[2, 3, 2] += 3
    return {"A": (a, a_truth), "B": (b, b_truth)}


def write(root: Path) -> Path:
    """Folders pred (T,V,3) and truth (T,3V), the region files and the face at rest."""
    for name, (prediction, truth) in sequences().items():
        for folder, array in (("pred", prediction), ("truth", truth.reshape(len(truth), -1))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            np.save(root / folder / f"{name}.npy", array)
    (root / "lips.txt").write_text("0, 1")
    (root / "upper.txt").write_text("2, 3")
    np.save(root / "rest.npy", REST)
    return root


def write_clip(path: Path, vertices: Array, *, fps: float = 30.0, emotion: str = "happy", intensity: float = 2.0) -> None:
    """A clip of the four vertices with all its landmarks at vertex 0."""
    frames = len(vertices)
    path.parent.mkdir(parents=True, exist_ok=True)
    Clip(
        vertices.astype(np.float32),
        np.array([[0, 1, 2], [1, 3, 2]], np.int32),
        REST.astype(np.float32),
        np.repeat(vertices[:, :1], 68, axis=1).astype(np.float32),
        fps,
        ("happy", "sad"),
        np.tile(np.array([emotion == "happy", emotion == "sad"], np.float32), (frames, 1)),
        np.full(frames, intensity, np.float32),
        {},
    ).save(path)

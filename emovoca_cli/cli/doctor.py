"""`emovoca doctor`: what works on this machine, tried rather than guessed."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import typer

from emovoca_cli.cli.options import Json, Quiet

EXTRAS = {
    "matplotlib": ("plots", "plots of training and evaluation"),
    "pocketsphinx": ("align", "scoring lip-sync against the words"),
    "tensorboard": ("tensorboard", "training logged to TensorBoard"),
    "wandb": ("wandb", "training logged to Weights & Biases"),
    "pytest": ("test", "running the tests"),
}


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """Say what works here: Python, torch, devices, render backends, ffmpeg, built-in assets, extras.

    Example: emovoca doctor --json
    """
    from emovoca_cli.cli.console import Reporter

    reporter = Reporter(json_output=json, quiet=quiet)
    report = examine()
    rows: list[tuple[str, ...]] = [
        (check["name"], "ok" if check["ok"] else "missing" if check["optional"] else "BROKEN", check["detail"])
        for check in report["checks"]
    ]
    reporter.table("emovoca doctor", ("what", "state", "detail"), rows)
    reporter.result(report)
    if not report["ok"]:
        reporter.say("something needed is broken: see the lines marked BROKEN")
        raise typer.Exit(1)
    reporter.say("everything needed works")


def examine() -> dict[str, Any]:
    """Try each thing the toolkit needs; returns {"ok", "checks": [{name, ok, optional, detail}]}."""
    checks = [_python(), _torch(), *_devices(), *_backends(), _ffmpeg(), *_assets(), *_extras()]
    usable_renderer = any(check["ok"] for check in checks if check["name"].startswith("render"))
    if not usable_renderer:
        checks.append(_check("render", False, "no rendering backend works: reinstall embreex, the CPU one"))
    return {"ok": all(check["ok"] or check["optional"] for check in checks), "checks": checks}


def _check(name: str, ok: bool, detail: str, *, optional: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "ok": ok, "optional": optional, "detail": detail, **more}


def _python() -> dict[str, Any]:
    from emovoca_cli import __version__

    return _check(
        "python",
        sys.version_info >= (3, 10),
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, emovoca {__version__}",
    )


def _torch() -> dict[str, Any]:
    try:
        import torch

        value = float((torch.eye(2) @ torch.ones(2, 1)).sum())
    except Exception as error:
        return _check("torch", False, f"{error}; reinstall with the constraints file of the README")
    return _check("torch", value == 2.0, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _devices() -> list[dict[str, Any]]:
    try:
        import torch
    except Exception:
        return []
    if not torch.cuda.is_available():
        return [_check("cuda", False, "no CUDA device: everything runs on the CPU", optional=True)]
    checks = []
    for index in range(torch.cuda.device_count()):
        try:
            torch.ones(8, device=f"cuda:{index}").sum().item()
            checks.append(_check(f"cuda:{index}", True, torch.cuda.get_device_name(index), optional=True))
        except Exception as error:
            checks.append(_check(f"cuda:{index}", False, str(error).splitlines()[0], optional=True))
    return checks


def _backends() -> list[dict[str, Any]]:
    from emovoca_cli.render.backends import probe

    return [
        _check(
            f"render {found.name}",
            found.works,
            f"{found.milliseconds:.0f} ms a small picture" if found.works else found.reason,
            optional=True,
        )
        for found in probe()
    ]


def _ffmpeg() -> dict[str, Any]:
    try:
        import imageio_ffmpeg

        binary = imageio_ffmpeg.get_ffmpeg_exe()
        words = subprocess.run([binary, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=30, check=True).stdout
    except Exception as error:
        return _check("ffmpeg", False, f"{error}; reinstall imageio-ffmpeg, which brings its own")
    missing = [codec for codec in ("libx264", "aac") if codec not in words]
    version = imageio_ffmpeg.get_ffmpeg_version()
    return _check(
        "ffmpeg", not missing, f"{version} with libx264 and aac" if not missing else f"{version} lacks {', '.join(missing)}"
    )


def _assets() -> list[dict[str, Any]]:
    """One check for each built-in thing: the head, the rig, the speech, each model."""
    from emovoca_cli.assets import ASSETS, asset_hashes
    from emovoca_cli.files import hash_file

    seen: dict[str, dict[str, str | None]] = {}
    wrong: dict[str, list[str]] = {}
    for name, digest in sorted(asset_hashes().items()):
        thing = name.split("/")[0]
        found = hash_file(ASSETS / name) if (ASSETS / name).is_file() else None
        seen.setdefault(thing, {})[name] = found
        if found != digest:
            wrong.setdefault(thing, []).append(f"{name} is {'missing' if found is None else 'changed'}")
    return [
        _check(
            f"built-in {thing}",
            thing not in wrong,
            f"{'; '.join(wrong[thing][:3])}: reinstall emovoca" if thing in wrong else _summary(files),
            sha256=files,
        )
        for thing, files in seen.items()
    ]


def _summary(files: Mapping[str, str | None]) -> str:
    first = next(iter(files.values()))
    return f"{len(files)} file{'s' if len(files) > 1 else ''} as shipped, sha256 {str(first)[:12]}{'…' if len(files) > 1 else ''}"


def _extras() -> list[dict[str, Any]]:
    import importlib.util

    return [
        _check(f"extra {module}", found, purpose if found else f'{purpose}: pip install "emovoca[{extra}]"', optional=True)
        for module, (extra, purpose) in EXTRAS.items()
        for found in [importlib.util.find_spec(module) is not None]
    ]

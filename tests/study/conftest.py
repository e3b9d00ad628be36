"""A small study, and a browser to answer it in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emovoca_cli.study.make import Made, Request, make_study
from emovoca_cli.study.sources import read_items
from tests.study.videos import write_video

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ITEMS = """id,emotion,group,ask
m1,happy,Test 1,lip_sync+emotion
m2,sad,Test 1,lip_sync+emotion
w1,,Test 2,lip_sync
n1,angry,Test 3,naming
"""


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `ours` and `other` of four short videos each."""
    root = tmp_path_factory.mktemp("videos")
    first = write_video(root / "ours" / "m1.mp4")
    for name in ("m2", "w1", "n1"):
        shutil.copy(first, root / "ours" / f"{name}.mp4")
    second = write_video(root / "other" / "m1.mp4", tone=550)
    for name in ("m2", "w1", "n1"):
        shutil.copy(second, root / "other" / f"{name}.mp4")
    return root


def request_of(videos: Path, **more: Any) -> Request:
    """The study of these tests, with changes."""
    table = videos / "items.csv"
    table.write_text(ITEMS, encoding="utf-8")
    asks = ("lip_sync", "emotion", "naming")
    plain: dict[str, Any] = {
        "systems": {"ours": videos / "ours", "other": videos / "other"}, "items": read_items(table, asks=asks), "participants": 6,
        "ties": True, "seed": 3,
    }  # fmt: skip
    return Request(**(plain | more))


def made(out: Path, request: Request) -> Made:
    """Make a study of videos."""

    def draw(clip: Path, out: Path) -> None:
        raise AssertionError(f"{clip} is a video and needs no drawing")

    return make_study(out, request, draw=draw, looks=str)


@pytest.fixture(scope="session")
def study(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path]:
    """A made study and its folder."""
    out = tmp_path_factory.mktemp("study") / "study"
    return made(out, request_of(videos)), out


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    """A headless Chromium with a profile of its own, which downloads to `tmp_path / "downloads"` and logs what it requests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-sync",
        "disable-component-update", "disable-dev-shm-usage", f"user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    (tmp_path / "downloads").mkdir()
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    chrome.get("about:blank")
    chrome.get_log("performance")  # what the empty new tab asked for
    try:
        yield chrome
    finally:
        chrome.quit()


def requested(browser: Chrome) -> list[str]:
    """The addresses that the page asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

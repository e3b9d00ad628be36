"""The page in a real browser: answered by clicks and by keys, resumed, offline, and its answers scored."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emovoca_cli.data.checks import Findings
from emovoca_cli.study.answers import Answer, read_answers
from emovoca_cli.study.design import Design
from emovoca_cli.study.make import Made
from tests.study.conftest import made, request_of, requested

pytest.importorskip("selenium", reason="no selenium: pip install selenium")
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.pipeline


class Sitting:
    """One participant before the page."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)

    def one(self, css: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[Any]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def wait(self, css: str) -> Any:
        return WebDriverWait(self.browser, 20).until(lambda _: self.all(css))[0]

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def begin(self, participant: int | None = None) -> None:
        if participant is not None:
            self.one("#participant").send_keys(str(participant))
        if not self.one("#agree").is_selected():
            self.one("#agree").click()
        self.one("#begin").click()

    def watch(self, *, by_keys: bool = False) -> None:
        """Play every video of the screen to its end."""
        for count, figure in enumerate(self.all("figure"), start=1):
            if by_keys:
                self.press(" ")
            else:
                figure.find_element(By.CSS_SELECTOR, ".play").click()
            WebDriverWait(self.browser, 20).until(lambda _, count=count: len(self.all("figure.watched")) == count)

    def shown(self) -> list[str]:
        return [video.get_attribute("src").rsplit("/", 1)[-1].split(".")[0] for video in self.all("video")]

    def screens(self, count: int, *, by_keys: bool = False) -> dict[tuple[str, str], str]:
        """Answer `count` screens with the last video, or the second label; returns what was chosen by (first video, question)."""
        chosen = {}
        for _ in range(count):
            if self.all("#go-on"):
                if by_keys:
                    self.press(Keys.ENTER)
                else:
                    self.one("#go-on").click()
            self.wait("figure")
            first = self.shown()[0]
            self.watch(by_keys=by_keys)
            for field in self.all("fieldset"):
                answers = field.find_elements(By.CSS_SELECTOR, "input")
                if by_keys:
                    self.press("2")
                else:
                    field.find_elements(By.CSS_SELECTOR, ".answer")[1].click()
                assert answers[1].is_selected()
                chosen[first, answers[1].get_attribute("name")] = answers[1].get_attribute("value")
            if by_keys:
                self.press(Keys.ENTER)
            else:
                self.one("#next").click()
        return chosen

    def saved(self, folder: Path) -> Path:
        """Save the answers and wait for the file."""
        found = WebDriverWait(self.browser, 20).until(lambda _: [p for p in folder.iterdir() if p.suffix == ".json"])
        assert len(found) == 1
        return Path(found[0])

    def check_quiet(self) -> None:
        """No error in the console."""
        assert [entry for entry in self.browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}] == []


def address(folder: Path) -> str:
    return (folder / "page" / "index.html").as_uri()


def as_answers(design: Design, participant: int, chosen: dict[tuple[str, str], str]) -> list[Answer]:
    """The answers that these clicks mean, worked out from the key alone."""
    found = []
    for index, videos in design.shown(participant):
        shown = tuple(design.videos[number].system for number in videos)
        item = design.items[design.videos[videos[0]].item]
        for question in design.trials[index].asks:
            given = chosen[videos[0], question]
            meant = {"a": shown[0], "b": shown[-1]}.get(given, given)
            found.append(Answer(participant, question, item.name, item.group, item.emotion, shown, meant))
    return found


def test_answered_by_clicks_from_a_file_without_any_request_and_scored(
    browser: Chrome, study: tuple[Made, Path], tmp_path: Path
) -> None:
    design, folder = study[0].design, study[1]
    sitting = Sitting(browser, address(folder))
    assert "nothing is sent over the network" in sitting.one(".consent").text
    sitting.begin(9)
    assert "from 1 to 6" in sitting.one(".complaint").text
    sitting.one("#participant").clear()
    sitting.begin(2)
    chosen = sitting.screens(len(design.trials))
    sitting.wait("#download").click()
    path = sitting.saved(tmp_path / "downloads")
    assert path.name == f"answers-{design.study}-2.json"
    findings = Findings()
    assert read_answers([path], design, findings) == as_answers(design, 2, chosen)
    assert findings.problems == []
    sitting.check_quiet()
    addresses = requested(browser)
    assert len(addresses) > len(design.videos)
    assert {url.split(":")[0] for url in addresses} <= {"file", "data", "blob"}, addresses
    inside = (folder / "page").as_uri()
    assert all(url.startswith(inside) for url in addresses if url.startswith("file"))


def test_answered_by_keys_alone_and_resumed_after_a_reload(browser: Chrome, study: tuple[Made, Path], tmp_path: Path) -> None:
    design, folder = study[0].design, study[1]
    sitting = Sitting(browser, f"{address(folder)}?participant=5")
    assert sitting.one("#participant").get_attribute("value") == "5"
    sitting.press(" ", Keys.TAB, Keys.ENTER)
    chosen = sitting.screens(3, by_keys=True)
    sitting.watch(by_keys=True)
    browser.refresh()
    assert f"3 of {len(design.trials)}" in sitting.wait("#resumed").text
    early = sitting.one("#early")
    early.click()
    content = json.loads(sitting.saved(tmp_path / "downloads").read_text(encoding="utf-8"))
    assert (len(content["answers"]), content["finished"]) == (3, None)
    sitting.saved(tmp_path / "downloads").unlink()
    sitting.one("#go-on").send_keys(Keys.ENTER)
    assert sitting.one("#next").get_attribute("disabled"), "what was watched before the reload has to be watched again"
    chosen |= sitting.screens(len(design.trials) - 3, by_keys=True)
    sitting.wait("#download")
    sitting.press(Keys.ENTER)
    findings = Findings()
    assert read_answers([sitting.saved(tmp_path / "downloads")], design, findings) == as_answers(design, 5, chosen)
    assert findings.problems == []
    browser.refresh()
    assert sitting.wait("#download"), "a finished study stays finished"
    sitting.one("#another").click()
    assert sitting.wait("#participant").get_attribute("value") == ""
    sitting.check_quiet()


def test_nothing_can_be_answered_before_it_was_watched(browser: Chrome, study: tuple[Made, Path]) -> None:
    sitting = Sitting(browser, address(study[1]))
    sitting.begin(1)
    sitting.one("#go-on").click()
    sitting.wait("video")
    sitting.press("1", Keys.ENTER)
    assert not [one for one in sitting.all("input") if one.is_selected()]
    assert all(not one.is_enabled() for one in sitting.all("fieldset input"))
    browser.execute_script("const v = document.querySelector('video'); v.currentTime = v.duration; v.play()")
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script("return document.querySelector('video').ended"))
    assert sitting.all("figure.watched") == []
    assert not any(one.is_enabled() for one in sitting.all("fieldset input, #next")), "to jump to the end is not to watch"
    assert browser.execute_script("return document.querySelector('video').muted"), "a silent face makes no sound"
    sitting.watch()
    assert all(one.is_enabled() for one in sitting.all("fieldset input"))


def test_a_video_that_does_not_play_is_said(browser: Chrome, videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    design = made(folder, request_of(videos)).design
    number = design.shown(1)[0][1][0]
    (folder / "page" / "videos" / design.videos[number].file).write_bytes(b"no video")
    sitting = Sitting(browser, address(folder))
    sitting.begin(1)
    sitting.one("#go-on").click()
    WebDriverWait(browser, 20).until(lambda _: "does not play" in sitting.one(".hint").text)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("embed", [False, True])
def test_from_a_static_server_or_as_one_file(browser: Chrome, videos: Path, tmp_path: Path, embed: bool) -> None:
    folder = tmp_path / "study"
    design = made(folder, request_of(videos, embed=embed, ties=False, choices=("angry", "überrascht", "sad", "happy"))).design
    assert (folder / "page" / "videos").exists() != embed
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder / "page")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        here = f"http://127.0.0.1:{server.server_port}/"
        sitting = Sitting(browser, here)
        sitting.begin(1)
        chosen = sitting.screens(3)
        assert "überrascht" in chosen.values()
        sitting.one("#early").click()
        findings = Findings()
        kept = read_answers([sitting.saved(tmp_path / "downloads")], design, findings, allow_incomplete=True)
        assert findings.problems == []
        assert {answer.given for answer in kept} >= {"überrascht"}
        sitting.check_quiet()
        assert len(sitting.all("fieldset")[0].find_elements(By.CSS_SELECTOR, "input")) == 2
        addresses = [url for url in requested(browser) if not url.startswith(("data:", "blob:"))]
        assert addresses
        assert all(url.startswith(here) for url in addresses)
        assert len(addresses) == 1 or not embed
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert design.ties is False

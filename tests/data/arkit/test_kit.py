"""Fetching the published kit, from a server on this machine, and unpacking archives that may be hostile."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from emovoca_cli.cli.app import run
from emovoca_cli.data.arkit import kit
from emovoca_cli.data.download import NetworkError, Remote, fetch
from emovoca_cli.errors import DataError, UsageError

pytestmark = pytest.mark.unit

CONTENT = {"LICENSE": b"MIT", "FaceXModel/jawOpen.obj": bytes(range(256)) * 400}


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; notes what was asked."""

    def __init__(self, asked: list[str], breaks: dict[str, int], ranges: bool, *args: object) -> None:
        self.asked, self.breaks, self.ranges = asked, breaks, ranges
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.asked.append(f"{self.path} {wanted}".strip())
        data = CONTENT.get(self.path.lstrip("/"))
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = self.breaks.pop(self.path, len(data))
        self.wfile.write(data[start:end])

    def log_message(self, *_: object) -> None:
        pass


class Server:
    def __init__(self, *, ranges: bool = True) -> None:
        self.asked: list[str] = []
        self.breaks: dict[str, int] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self.asked, self.breaks, ranges))
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


@pytest.fixture(autouse=True)
def small_kit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = {path: Remote(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in CONTENT.items()}
    monkeypatch.setattr(kit, "published", lambda: rows)
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path / "cache"))


def test_the_published_list_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rows = kit.published()
    assert len(rows) == 161
    assert sum(path.startswith("FaceXModel/identity") for path in rows) == 100
    assert sum(row.bytes for row in rows.values()) == 404_774_399
    assert all(len(row.sha256) == 64 and row.bytes > 0 for row in rows.values())


def test_a_kit_is_fetched_once_and_checked(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["face", "get", "ict-facekit", "--from", server.base]) == 0
    words = capsys.readouterr().err
    assert "licence MIT" in words
    assert (kit.kit_folder() / "FaceXModel" / "jawOpen.obj").read_bytes() == CONTENT["FaceXModel/jawOpen.obj"]
    asked = len(server.asked)
    assert run(["face", "get", "ict-facekit", "--from", server.base, "--quiet"]) == 0
    assert len(server.asked) == asked


def test_a_broken_off_download_continues(server: Server, tmp_path: Path) -> None:
    server.breaks["/FaceXModel/jawOpen.obj"] = 70_000
    with pytest.raises(NetworkError):
        kit.get_kit(tmp_path / "k", base=server.base)
    part = tmp_path / "k" / "FaceXModel" / "jawOpen.obj.part"
    assert part.stat().st_size == 70_000
    told: list[tuple[int, int]] = []
    kit.get_kit(tmp_path / "k", base=server.base, told=lambda done, total: told.append((done, total)))
    assert "/FaceXModel/jawOpen.obj bytes=70000-" in server.asked
    assert told[-1] == (102_403, 102_403)
    assert not part.exists()
    assert kit.missing(tmp_path / "k") == []


def test_a_server_without_ranges_starts_anew(tmp_path: Path) -> None:
    server = Server(ranges=False)
    row = kit.published()["FaceXModel/jawOpen.obj"]
    (tmp_path / "a.part").write_bytes(b"x" * 50)
    fetch(f"{server.base}/{row.path}", row, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT[row.path]
    server.http.shutdown()
    server.http.server_close()


def test_another_content_is_refused_and_thrown_away(server: Server, tmp_path: Path) -> None:
    good = kit.published()["LICENSE"]
    for row, words in (
        (Remote("LICENSE", "0" * 64, good.bytes), "not the published file"),
        (Remote("LICENSE", good.sha256, 2), "more than the 2 bytes"),
    ):
        with pytest.raises(DataError, match=words):
            fetch(f"{server.base}/LICENSE", row, tmp_path / "x")
        assert list(tmp_path.glob("x*")) == []
    with pytest.raises(UsageError, match="not an http address"):
        fetch("file:///etc/passwd", good, tmp_path / "x")


def test_without_a_network_it_says_what_to_place_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["face", "get", "ict-facekit", "--from", "http://127.0.0.1:9"]) == 1
    words = capsys.readouterr().err.splitlines()
    assert words[-1].startswith("emovoca: ")
    assert "--archive" in words[-1]
    assert str(kit.kit_folder() / "FaceXModel") in words[-1]
    assert run(["face", "get", "nobody"]) == 2
    assert run(["prep", "arkit", "--input", "ict-facekit"]) == 2
    assert "emovoca face get ict-facekit" in capsys.readouterr().err


def test_archives_are_unpacked_with_or_without_a_top_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for path, data in CONTENT.items():
            out.writestr(f"ICT-FaceKit-master/{path}", data)
        out.writestr("ICT-FaceKit-master/README.md", "more")
    assert kit.unpack_kit(tmp_path / "a.zip", tmp_path / "zip") == 2
    assert not (tmp_path / "zip" / "README.md").exists()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for path, data in CONTENT.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert kit.unpack_kit(tmp_path / "a.tar.gz", tmp_path / "tar") == 2
    assert kit.missing(tmp_path / "tar") == []


def test_members_that_point_outside_are_refused(tmp_path: Path) -> None:
    for name in ("../evil.obj", "a/../../evil.obj", "/tmp/evil.obj", "C:/evil.obj", "..\\evil.obj"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
            out.writestr("LICENSE", CONTENT["LICENSE"])
            out.writestr(name, "evil")
        with pytest.raises(DataError, match="points outside the folder"):
            kit.unpack_kit(tmp_path / "a.zip", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        link = tarfile.TarInfo("top/LICENSE")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="not a plain file"):
        kit.unpack_kit(tmp_path / "b.tar", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as out:
        out.writestr("LICENSE", b"M" * 1000)
    with pytest.raises(DataError, match="has 1000 bytes, 3 were published"):
        kit.unpack_kit(tmp_path / "c.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as out:
        out.writestr("LICENSE", b"TIM")
    with pytest.raises(DataError, match="its hash differs"):
        kit.unpack_kit(tmp_path / "d.zip", tmp_path / "out")
    (tmp_path / "e.zip").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"neither a \.zip nor a \.tar"):
        kit.unpack_kit(tmp_path / "e.zip", tmp_path / "out")

"""The page itself: one HTML file with its style, script, words and plan in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from emovoca_cli.files import atomic_write
from emovoca_cli.study.design import Design

PARTS = Path(__file__).with_name("page")
TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}


def write_page(path: Path, design: Design, *, embed: Mapping[str, Path] | None = None) -> None:
    """Write the page of a study; its videos lie in `videos` beside it, or in it where `embed` gives the files by number.

    Raises OutputError.
    """
    page = (PARTS / "page.html").read_text(encoding="utf-8")
    style = (PARTS / "style.css").read_text(encoding="utf-8")
    script = (PARTS / "page.js").read_text(encoding="utf-8")
    head, rest = page.split("/*STYLE*/")
    middle, rest = rest.split("/*STUDY*/")
    last, end = rest.split("/*SCRIPT*/")
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        out.writelines((head, style.strip(), middle, _inert(json.dumps(design.public(), ensure_ascii=False))))
        if embed is None:
            out.write(last)
        else:
            before, after = last.split("</script>", maxsplit=1)
            out.write(f'{before}</script>\n<script id="media" type="application/json">{{')
            for index, (number, file) in enumerate(embed.items()):
                data = base64.b64encode(file.read_bytes()).decode("ascii")
                out.write(f'{"," if index else ""}"{number}":"data:{TYPES[file.suffix]};base64,{data}"')
            out.write(f"}}</script>{after}")
        out.writelines((script.strip(), end))


def _inert(text: str) -> str:
    """JSON that ends no script element, whatever words are in it."""
    return text.replace("<", "\\u003c")

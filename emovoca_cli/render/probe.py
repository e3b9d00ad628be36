"""Try one OpenGL platform in a process of its own: `python -m emovoca_cli.render.probe egl` answers with a line of JSON."""

from __future__ import annotations

import json
import sys

from emovoca_cli.errors import EmovocaError
from emovoca_cli.render.backends import try_backend
from emovoca_cli.render.opengl import PyrenderBackend


def main(platform: str) -> int:
    """Draw the small picture on this platform; writes milliseconds or the error to standard output."""
    try:
        answer: dict[str, float | str] = {"milliseconds": try_backend(PyrenderBackend(platform))}
    except EmovocaError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

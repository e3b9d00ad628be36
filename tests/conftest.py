"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

# A loaded machine is slow, not wrong; and where a change is judged, the same tests have to see the same examples.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

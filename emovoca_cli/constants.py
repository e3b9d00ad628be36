"""Units, rates and label orders, named once."""

from __future__ import annotations

SAMPLE_RATE = 16_000
"""Speech inside the toolkit: mono float32 at this rate (Hz)."""

DEFAULT_FPS = 30.0
"""Frames a second of the built-in corpus, models and videos."""

LANDMARKS = 68
"""Multi-PIE / iBUG landmarks: 0-16 jaw line, 17-26 brows, 27-35 nose, 36-47 eyes, 48-67 mouth."""

MM = 1000.0
"""Millimetres a metre; only reports multiply by it."""

EMOTIONS_V1 = ("afraid", "disgust", "angry", "sad", "happy")
"""Labels of EmoVOCAv1 (paper section 4.1), in the order of the authors' release."""

EMOTIONS_V2 = (*EMOTIONS_V1, "drunk", "ill", "moody", "pleased", "suspicious", "upset")
"""Labels of EmoVOCAv2; the one-hot index is the position here."""

INTENSITIES = (1, 2, 3)
"""Low, mid and high. DE-SD's mu_e of the same value makes them (paper section 3.2.2)."""

NEUTRAL_MU = 2.0
"""The mu that leaves a motion at its own strength, because training doubles every code."""

INNER_LIP_PAIRS = ((61, 67), (62, 66), (63, 65))
"""Upper and lower inner-lip landmarks that face each other; their mean distance is the lip gap."""

ARKIT_NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Apple's order. Left and right are the subject's own."""

ARKIT_INDEX = {name: index for index, name in enumerate(ARKIT_NAMES)}

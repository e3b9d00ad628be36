"""The lighting model: what a point of a surface sends to the camera. `glsl.py` says the same for the graphics card.

Diffuse light wraps round the form by a little, in red further than in blue, as light does that has travelled in skin; what
comes from crevices is tinted by the surface itself; the highlight has a broad and a sharp lobe under Fresnel's law; a last
soft shoulder keeps highlights from burning out.
"""

from __future__ import annotations

import numpy as np

from emovoca_cli.render.lighting import Lights, Triple, unit
from emovoca_cli.render.surface import linear_to_srgb
from emovoca_cli.types import Float

WRAP = (0.22, 0.13, 0.10)
"""How far diffuse light reaches past the terminator in red, green and blue, as a cosine."""

PENUMBRA = (0.40, 0.17, 0.06)
"""How much a half shadow is brightened in red, green and blue."""

BOUNCE = 0.85
"""Share of the light lost in crevices that comes back coloured by the surface."""

FRESNEL = 0.034
"""Reflectance at normal incidence of skin and water."""

BROAD_LOBE = 0.55
"""Share of the highlight that lies in the lobe with an eighth of the exponent."""

SHEEN = 0.10
"""Soft light on grazing skin, from its fine hair."""

SHOULDER = 0.50
"""Linear light above which the picture is compressed towards white."""

CATCH_FROM = 250.0
"""Sharpness from which a material counts as an eye for the catch light; at twice this it gets all of it."""

BACKFACE = 0.25
"""Ambient visibility of a surface seen from its inside."""

_TABLE_TOP = 4.0
_TABLE = 32768


def shade(
    *,
    normals: Float,
    views: Float,
    albedo: Float,
    ambient: Float,
    key: Float,
    materials: Float,
    lights: Lights,
) -> Float:
    """Linear light (3,N) before the shoulder.

    normals, views (3,N) unit, towards the camera, in the camera's frame, albedo (3,N) linear, ambient, key (N,) visibility in
    0-1, materials (3,N) = scatter, gloss, sharpness. Channels come first because NumPy's inner loops then run over N.
    """
    scatter, gloss, sharpness = materials
    ground, sky = _column(lights.ground), _column(lights.sky)
    up = normals[1] * np.float32(0.5) + np.float32(0.5)
    lost = ambient * (1 - ambient) * np.float32(BOUNCE)
    light = (ground + (sky - ground) * up) * (ambient + lost * albedo)
    edge = 1 - np.clip(_dot(normals, views), 0.0, 1.0)
    sheen = edge * edge * edge * ambient * np.float32(SHEEN)
    wrap = _column(WRAP) * scatter
    spread = 1 / (1 + wrap)
    half_shadow = key + _column(PENUMBRA) * (key * (1 - key) * scatter)
    broad = sharpness * np.float32(0.125)
    broad_peak = gloss * (broad + 8) * np.float32(BROAD_LOBE / (8 * np.pi))
    sharp_peak = gloss * (sharpness + 8) * np.float32((1 - BROAD_LOBE) / (8 * np.pi))
    highlight = sky * sheen
    eyes = np.clip((sharpness - CATCH_FROM) / CATCH_FROM, 0.0, 1.0)
    for lamp, seen, shadow in (
        (lights.key, key, half_shadow),
        (lights.fill, ambient, ambient),
        (lights.rim, ambient, ambient),
        (lights.catch, eyes, None),
    ):
        direction, color = unit(lamp.direction), _column(lamp.color)
        cosine = direction @ normals
        if shadow is not None:
            light += np.maximum((cosine + wrap) * spread, 0.0) * shadow * color
        lit = np.flatnonzero((cosine > 0) & (seen > 0))
        if len(lit) == 0:
            continue
        view = views[:, lit]
        half = view + direction[:, None]
        half /= np.sqrt(_dot(half, half))
        grazing = 1 - np.clip(_dot(view, half), 0.0, 1.0)
        square = grazing * grazing
        fresnel = np.float32(FRESNEL) + np.float32(1 - FRESNEL) * square * square * grazing
        log_lobe = np.log(np.maximum(_dot(normals[:, lit], half), 1e-4))
        shape = broad_peak[lit] * np.exp(broad[lit] * log_lobe) + sharp_peak[lit] * np.exp(sharpness[lit] * log_lobe)
        highlight[:, lit] += color * (fresnel * shape * cosine[lit] * seen[lit])
    return np.asarray(albedo * light + highlight, np.float32)


def _dot(a: Float, b: Float) -> Float:
    """Dot products (N,) of vectors (3,N)."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2], np.float32)


def _column(values: Triple) -> Float:
    return np.asarray(values, np.float32)[:, None]


def shoulder(light: Float) -> Float:
    """Linear light in 0-1: unchanged up to SHOULDER, then bent so that it never reaches white."""
    over = np.maximum(light - SHOULDER, 0.0) / (1 - SHOULDER)
    return np.where(light <= SHOULDER, np.maximum(light, 0.0), SHOULDER + (1 - SHOULDER) * (1 - np.exp(-over))).astype(np.float32)


_ENCODED = np.round(linear_to_srgb(shoulder(np.linspace(0.0, _TABLE_TOP, _TABLE, dtype=np.float32))) * 255).astype(np.uint8)


def encode(light: Float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Bytes of linear light, any shape: shoulder, then sRGB, by table."""
    index = np.clip(light * np.float32((_TABLE - 1) / _TABLE_TOP) + np.float32(0.5), 0, _TABLE - 1).astype(np.int32)
    return np.asarray(_ENCODED[index], np.uint8)

"""The lighting model of `shading.py` as shader text, with the lights written in as constants."""

from __future__ import annotations

from emovoca_cli.render import shading
from emovoca_cli.render.lighting import Lights, Triple, unit

VERTEX = """#version 330 core
layout(location = 0) in vec3 position;
layout(location = NORMAL_LOC) in vec3 normal;
layout(location = TANGENT_LOC) in vec4 tangent;
layout(location = TEXCOORD_0_LOC) in vec2 texcoord_0;
layout(location = COLOR_0_LOC) in vec4 color_0;
uniform mat4 V;
uniform mat4 P;
out vec3 at;
out vec3 n;
out vec3 albedo;
out vec2 visibility;
out vec3 material;
void main() {
    vec4 local = V * vec4(position, 1.0);
    gl_Position = P * local;
    at = local.xyz;
    n = mat3(V) * normal;
    albedo = color_0.rgb;
    visibility = texcoord_0;
    material = tangent.xyz;
}
"""

_FRAGMENT = """#version 330 core
in vec3 at;
in vec3 n;
in vec3 albedo;
in vec2 visibility;
in vec3 material;
out vec4 frag_color;
const vec3 WRAP = @WRAP@;
const vec3 PENUMBRA = @PENUMBRA@;
const vec3 SKY = @SKY@;
const vec3 GROUND = @GROUND@;
vec3 light_sum;
vec3 highlight;
void lamp(vec3 direction, vec3 color, vec3 shadow, float seen, vec3 normal, vec3 view) {
    vec3 wrap = material.x * WRAP;
    float cosine = dot(normal, direction);
    light_sum += max((cosine + wrap) / (1.0 + wrap), 0.0) * shadow * color;
    vec3 between = normalize(view + direction);
    float lobe = max(dot(normal, between), 1e-4);
    float fresnel = @FRESNEL@ + (1.0 - @FRESNEL@) * pow(1.0 - clamp(dot(view, between), 0.0, 1.0), 5.0);
    float broad = material.z * 0.125;
    float shape = @BROAD@ * (broad + 8.0) * pow(lobe, broad) + (1.0 - @BROAD@) * (material.z + 8.0) * pow(lobe, material.z);
    highlight += material.y * fresnel * shape * max(cosine, 0.0) * seen * 0.039788736 * color;
}
void main() {
    vec3 normal = normalize(n);
    vec3 view = normalize(-at);
    float ambient = visibility.x;
    float key = visibility.y;
    if (!gl_FrontFacing) { normal = -normal; ambient *= @BACKFACE@; key = 0.0; }
    vec3 open_sky = vec3(ambient) + ambient * (1.0 - ambient) * @BOUNCE@ * albedo;
    light_sum = mix(GROUND, SKY, normal.y * 0.5 + 0.5) * open_sky;
    highlight = vec3(0.0);
    lamp(@KEY_TO@, @KEY@, vec3(key) + key * (1.0 - key) * material.x * PENUMBRA, key, normal, view);
    lamp(@FILL_TO@, @FILL@, vec3(ambient), ambient, normal, view);
    lamp(@RIM_TO@, @RIM@, vec3(ambient), ambient, normal, view);
    lamp(@CATCH_TO@, @CATCH@, vec3(0.0), clamp((material.z - @CATCH_FROM@) / @CATCH_FROM@, 0.0, 1.0), normal, view);
    float sheen = pow(1.0 - clamp(dot(normal, view), 0.0, 1.0), 3.0) * ambient * @SHEEN@;
    vec3 light = albedo * light_sum + highlight + sheen * SKY;
    vec3 bent = @SHOULDER@ + (1.0 - @SHOULDER@) * (1.0 - exp(-max(light - @SHOULDER@, 0.0) / (1.0 - @SHOULDER@)));
    light = mix(max(light, 0.0), bent, step(@SHOULDER@, light));
    vec3 encoded = mix(12.92 * light, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light));
    frag_color = vec4(encoded, 1.0);
}
"""


def fragment_shader(lights: Lights) -> str:
    """Fragment shader text for these lights."""
    values = {
        "WRAP": _vector(shading.WRAP),
        "PENUMBRA": _vector(shading.PENUMBRA),
        "SKY": _vector(lights.sky),
        "GROUND": _vector(lights.ground),
        "KEY_TO": _direction(lights.key.direction),
        "FILL_TO": _direction(lights.fill.direction),
        "RIM_TO": _direction(lights.rim.direction),
        "CATCH_TO": _direction(lights.catch.direction),
        "CATCH": _vector(lights.catch.color),
        "CATCH_FROM": f"{shading.CATCH_FROM:.6f}",
        "KEY": _vector(lights.key.color),
        "FILL": _vector(lights.fill.color),
        "RIM": _vector(lights.rim.color),
        "FRESNEL": f"{shading.FRESNEL:.6f}",
        "BROAD": f"{shading.BROAD_LOBE:.6f}",
        "BACKFACE": f"{shading.BACKFACE:.6f}",
        "BOUNCE": f"{shading.BOUNCE:.6f}",
        "SHEEN": f"{shading.SHEEN:.6f}",
        "SHOULDER": f"{shading.SHOULDER:.6f}",
    }
    text = _FRAGMENT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _vector(values: Triple) -> str:
    return "vec3(" + ", ".join(f"{value:.6f}" for value in values) + ")"


def _direction(values: Triple) -> str:
    x, y, z = (float(value) for value in unit(values))
    return _vector((x, y, z))

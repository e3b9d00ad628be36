"""A YAML file and dotted overrides onto frozen dataclasses: `desd.yaml` + `steps=500` `sizes.latent=32`."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from emovoca_cli.errors import UsageError

ConfigT = TypeVar("ConfigT")


def load_config(base: ConfigT, *, file: Path | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Give a copy of the frozen dataclass `base` with the values of a YAML file, then of `key=value` overrides (dots enter nested
    ones).

    Raises UsageError for an unreadable file, an unknown key (with the nearest known one) and a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = _read_yaml(file)
    config = with_values(base, values, where=str(file))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UsageError(f"cannot read the setting {override!r}; write it as key=value, such as steps=500")
        nested: Any = _parse(text, override)
        for part in reversed(key.split(".")):
            nested = {part: nested}
        config = with_values(config, nested, where=override)
    return config


def with_values(base: ConfigT, values: Mapping[str, Any], *, where: str) -> ConfigT:
    """Give a copy of the frozen dataclass `base` with plain values (as from JSON) put in; `where` names their origin in errors."""
    hints = typing.get_type_hints(type(base))
    known = [field.name for field in dataclasses.fields(base) if field.init]  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"unknown setting {key!r} in {where}; {hint}")
        current = getattr(base, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise UsageError(
                    f"{key!r} in {where} is a group of settings, got {value!r}; set one of its keys, as {key}.name=value"
                )
            changes[key] = with_values(current, value, where=where)
        else:
            changes[key] = _fit(value, hints[key], f"{key!r} in {where}")
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]


def plain_values(config: Any) -> dict[str, Any]:
    """Give a config as plain values for JSON; `with_values` takes them back."""
    values: dict[str, Any] = dataclasses.asdict(config)
    return values


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"the config file {file} does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the config file {file} is not readable YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"the config file {file} holds {type(values).__name__}, expected settings as key: value")
    return values


def _parse(text: str, override: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"cannot read the value in {override!r}; write it as YAML: a number, a word or [1, 2]") from error


def _fit(value: Any, hint: Any, what: str) -> Any:
    """`value` as the annotated type; whole floats and YAML's strings for 1e-3 are taken as what they mean."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _fit(value, inner, what)
    if origin is typing.Literal:
        if value not in arguments:
            raise UsageError(f"{what} is {value!r}, expected one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UsageError(f"{what} is {value!r}, expected a list such as [16, 32]")
        return tuple(_fit(item, arguments[0], what) for item in value)
    fitted: Any = None
    if isinstance(value, bool) or hint is bool:
        fitted = value if hint is bool and isinstance(value, bool) else None
    elif hint is int and isinstance(value, (int, float)) and value == int(value):
        fitted = int(value)
    elif hint is float and isinstance(value, (int, float, str)):
        try:
            fitted = float(value)
        except ValueError:
            fitted = None
    elif hint is str and isinstance(value, (str, int, float)):
        fitted = str(value)
    if fitted is None:
        raise UsageError(f"{what} is {value!r}, expected {hint.__name__}")
    return fitted

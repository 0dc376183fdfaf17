"""Parameters as frozen dataclasses: one field is one declared, described, range-checked ROS parameter.

@dataclass(frozen=True)
class FaceParameters:
    rate_hz: float = param(10.0, "how often faces are looked for [Hz]", minimum=0.1, maximum=30.0)

@dataclass(frozen=True)
class PerceptionParameters:
    faces: FaceParameters = nested(FaceParameters)        # declared as faces.rate_hz
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar("T")

_TYPES: dict[Any, tuple[Parameter.Type, str]] = {
    bool: (Parameter.Type.BOOL, "true or false"),
    int: (Parameter.Type.INTEGER, "a whole number"),
    float: (Parameter.Type.DOUBLE, "a number with a decimal point"),
    str: (Parameter.Type.STRING, "a text"),
    tuple[str, ...]: (Parameter.Type.STRING_ARRAY, "a list of texts"),
    tuple[float, ...]: (Parameter.Type.DOUBLE_ARRAY, "a list of numbers with decimal points"),
    tuple[int, ...]: (Parameter.Type.INTEGER_ARRAY, "a list of whole numbers"),
}
_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class ParameterError(ValueError):
    """A parameter that cannot be used; the text names it, its value and what is allowed."""


@dataclass(frozen=True)
class _Meta:
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    read_only: bool


@dataclass(frozen=True)
class Declaration:
    """One ROS parameter that a dataclass field stands for."""

    name: str
    kind: Any
    default: Any
    meta: _Meta

    def check(self, value: Any) -> Any:
        """The value in the field's type.

        Raises:
            ParameterError: wrong type, out of range or not among the choices.
        """
        _, wanted = _TYPES[self.kind]
        if typing.get_origin(self.kind) is tuple:
            item = typing.get_args(self.kind)[0]
            if value is None or isinstance(value, (str, bytes)) or not all(type(v) is item for v in value):
                raise ParameterError(f"parameter '{self.name}' must be {wanted}, got {value!r}")
            return tuple(value)
        if type(value) is not self.kind:
            raise ParameterError(f"parameter '{self.name}' must be {wanted}, got {value!r}")
        if self.kind in (int, float):
            low, high = self.meta.minimum, self.meta.maximum
            if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
                raise ParameterError(f"parameter '{self.name}' is {value}, allowed is {_range_text(low, high)}")
        if self.meta.choices and value not in self.meta.choices:
            raise ParameterError(
                f"parameter '{self.name}' is '{value}', allowed is one of {', '.join(self.meta.choices)}"
            )
        return value

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` and rqt show."""
        meta = self.meta
        descriptor = ParameterDescriptor(description=meta.description, read_only=meta.read_only)
        if meta.choices:
            descriptor.additional_constraints = "one of " + ", ".join(meta.choices)
        if meta.minimum is not None or meta.maximum is not None:
            if self.kind is int:
                low = -(2**63) if meta.minimum is None else int(meta.minimum)
                high = 2**63 - 1 if meta.maximum is None else int(meta.maximum)
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
            elif self.kind is float:
                low_f = -math.inf if meta.minimum is None else float(meta.minimum)
                high_f = math.inf if meta.maximum is None else float(meta.maximum)
                descriptor.floating_point_range = [FloatingPointRange(from_value=low_f, to_value=high_f, step=0.0)]
        return descriptor


def _range_text(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}" if high is not None else "a finite number"
    return f"at least {low}" if high is None else f"{low} to {high}"


def param(
    default: T,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    read_only: bool = False,
) -> T:
    """A dataclass field that is one ROS parameter.

    Args:
        default: its default, of the field's type.
        description: meaning and unit, for people.
        minimum: smallest allowed value, inclusive.
        maximum: largest allowed value, inclusive.
        choices: allowed texts.
        read_only: fixed once the node is configured.
    """
    meta = _Meta(description, minimum, maximum, tuple(choices), read_only)
    return field(default=default, metadata={"param": meta})


def nested(kind: type[T], **defaults: Any) -> T:
    """A dataclass field that groups the parameters of another dataclass under its own name.

    Args:
        kind: the dataclass of the group.
        defaults: defaults that differ from the ones of `kind`.
    """
    return field(default_factory=lambda: kind(**defaults))


def declarations(kind: type[Any], prefix: str = "", instance: Any = None) -> Iterator[Declaration]:
    """All ROS parameters of a dataclass, nested groups included, with their dotted names."""
    instance = kind() if instance is None else instance
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        hint, value = hints[item.name], getattr(instance, item.name)
        if is_dataclass(hint):
            yield from declarations(typing.cast(type[Any], hint), f"{prefix}{item.name}.", value)
        elif "param" in item.metadata:
            yield Declaration(prefix + item.name, hint, value, item.metadata["param"])
        else:
            raise TypeError(f"{kind.__name__}.{item.name} must be made with param() or nested()")


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """An instance of the dataclass from dotted names; names that are missing keep their defaults."""
    return typing.cast(T, _overlay(kind(), values, ""))


def _overlay(instance: Any, values: Mapping[str, Any], prefix: str) -> Any:
    replaced = {}
    for item in fields(instance):
        name, present = prefix + item.name, getattr(instance, item.name)
        if is_dataclass(present):
            replaced[item.name] = _overlay(present, values, name + ".")
        elif name in values:
            replaced[item.name] = values[name]
    return dataclasses.replace(instance, **replaced)


def declare(node: Node, kind: type[T]) -> T:
    """Declares every parameter of the dataclass on the node (those not declared yet) and reads them all.

    Raises:
        ParameterError: the first value that cannot be used, or an override that no parameter of the node has.
    """
    known = list(declarations(kind))
    _refuse_unknown(node, [d.name for d in known])
    values = {}
    for declaration in known:
        if not node.has_parameter(declaration.name):
            _declare_one(node, declaration)
        try:
            values[declaration.name] = declaration.check(_plain(node.get_parameter(declaration.name).value))
        except ParameterUninitializedException:
            # rclpy takes an empty list for bytes; a read-only one stays without a value in ROS.
            values[declaration.name] = declaration.default
    return build(kind, values)


def _declare_one(node: Node, declaration: Declaration) -> None:
    default = list(declaration.default) if isinstance(declaration.default, tuple) else declaration.default
    parameter = Parameter(declaration.name, _TYPES[declaration.kind][0], default)
    overrides = getattr(node, "_parameter_overrides", {})
    if declaration.name in overrides:
        declaration.check(_plain(overrides[declaration.name].value))
    try:
        node.declare_parameter(
            declaration.name, parameter.value if default != [] else parameter.type_, declaration.descriptor()
        )
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ParameterError(f"parameter '{declaration.name}': {error}") from error
    if default == [] and declaration.name not in overrides and not declaration.meta.read_only:
        node.set_parameters([parameter])


def _refuse_unknown(node: Node, names: list[str]) -> None:
    for name in getattr(node, "_parameter_overrides", {}):
        if name not in names and not name.startswith(_ROS_OWN) and not node.has_parameter(name):
            raise ParameterError(_unknown(name, node.get_name(), names))


def _unknown(name: str, node: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(names)}"
    return f"unknown parameter '{name}' for node {node}{hint}"


def undeclared(node: Node, kind: type[Any], parameters: Sequence[Parameter]) -> str | None:
    """Why these parameters cannot be set at run time, in one sentence, or None when all are declared."""
    names = [d.name for d in declarations(kind)]
    for name in (p.name for p in parameters if not node.has_parameter(p.name)):
        if name in names:
            return f"parameter '{name}' can be set once node {node.get_name()} is configured"
        return _unknown(name, node.get_name(), names)
    return None


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "typecode") else value  # rclpy gives array.array for number arrays


def changed(kind: type[T], present: T, parameters: Sequence[Parameter]) -> T:
    """The dataclass with the given run-time changes applied; parameters of others are ignored.

    Raises:
        ParameterError: a value that cannot be used.
    """
    known = {d.name: d for d in declarations(kind)}
    values = {p.name: known[p.name].check(_plain(p.value)) for p in parameters if p.name in known}
    return typing.cast(T, _overlay(present, values, ""))

"""Specs of the toy engines."""

from __future__ import annotations

from bbia_ros.residency import ModelSpec


def toy(name: str = "toy", engine: str = "Toy", **arguments) -> ModelSpec:
    """Spec of a toy engine; arguments of ModelSpec, the rest goes to the engine."""
    fields = ("group", "declared_mb", "ttl_s", "pinned", "worker", "device", "nice", "load_timeout_s")
    spec = {key: arguments.pop(key) for key in fields if key in arguments}
    spec.setdefault("declared_mb", 40.0)
    # Not starved on a busy machine, unless that is the test.
    spec.setdefault("nice", 0)
    return ModelSpec(name, "test", f"toy_engines:{engine}", arguments, **spec)

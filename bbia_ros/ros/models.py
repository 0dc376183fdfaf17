"""The parameters that every model has, and the step from them to the models that a task may use."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bbia_ros.residency import ModelSpec, Variant
from bbia_ros.residency.catalog import CATALOG, ModelNotFound, expected_mb, resolve
from bbia_ros.residency.vram import gpu_count
from bbia_ros.ros.parameters import ParameterError, nested, param

SHARED_NICE = 15
"""Niceness of workers that parameters name: a person waits for chat, the most demanding of those that share."""


@dataclass(frozen=True)
class ModelParameters:
    """Parameters of one model of a node."""

    engine: str = param("", "library that runs the model", read_only=True)
    model: str = param("", "used at first: name in `bbia models list`, or a path", read_only=True)
    variants: tuple[str, ...] = param(
        (), "models it may be exchanged for, itself included, best first; those that are not here are left out",
        read_only=True,
    )  # fmt: skip
    device: str = param("cpu", "where it runs", choices=("cpu", "cuda", "auto"), read_only=True)
    load: str = param(
        "on_first_use", "when it is loaded: when first needed, or as soon as the node is active",
        choices=("on_first_use", "on_activate"),
    )  # fmt: skip
    ttl_s: float = param(300.0, "unloaded after this time without use [s]; 0: never", minimum=0.0)
    declared_mb: float = param(
        200.0, "memory it is expected to need [MB]; used until it has been measured once", minimum=1.0, read_only=True
    )
    pinned: bool = param(False, "never evicted to make room for another model")
    threads: int = param(2, "CPU threads it may use", minimum=1, maximum=64, read_only=True)
    worker: str = param("", "worker process that models of the same name here share; empty: its own", read_only=True)


@dataclass(frozen=True)
class ModelChoice:
    """The models that a node may use for a task.

    Attributes:
        key: name of the parameter group, for instance "chat".
        task: task in the catalogue.
        variants: those that can be used here, best first; never empty.
        unavailable: those that were listed and cannot, with the reason.
        start: name of the variant in use at first.
        eager: it is loaded as soon as the node is active.
    """

    key: str
    task: str
    variants: tuple[Variant, ...]
    unavailable: Mapping[str, str]
    start: str
    eager: bool

    @property
    def spec(self) -> ModelSpec:
        """Of the variant in use at first."""
        return next(one.spec for one in self.variants if one.name == self.start)

    def adjusted(self, parameters: ModelParameters) -> ModelChoice:
        """The same with what may change at run time: time to live, pin, and when it is loaded."""
        variants = tuple(
            Variant(one.name, replace(one.spec, ttl_s=parameters.ttl_s, pinned=parameters.pinned))
            for one in self.variants
        )
        return replace(self, variants=variants, eager=parameters.load == "on_activate")


@dataclass(frozen=True)
class Engine:
    """An engine that a node offers for a task.

    Attributes:
        path: import path of its class, "package.module:Class".
        library: module that must be importable; empty: none.
        install: command that brings that library.
        nvidia: what it needs for the device cuda is an NVIDIA driver and nothing else.
        load_timeout_s: longest time for its worker to start and load a model [s].
    """

    path: str
    library: str = ""
    install: str = ""
    nvidia: bool = False
    load_timeout_s: float = 60.0


def model_params(**defaults: Any) -> ModelParameters:
    """A dataclass field with the parameters of one model; keyword arguments change their defaults."""
    return nested(ModelParameters, **defaults)


def build_choice(
    key: str,
    parameters: ModelParameters,
    *,
    task: str,
    engines: Mapping[str, Engine],
    resolve_model: bool = True,
    **more: Any,
) -> ModelChoice:
    """Checks the models for a task and describes them to the pool. Imports no heavy library.

    The model used at first must be there; a variant that is not, or that another engine runs, is left out with the
    reason. A model that is not among the variants has none: who sets another model need not know those that ship.

    Args:
        key: see `build_spec`, as for the rest.
        parameters: what was set.
        task: task in the catalogue.
        engines: engines that may be chosen, by name.
        resolve_model: False when models are not files.
        **more: for `build_spec`.

    Raises:
        ParameterError: unknown engine, missing library, or a model that is not there.
    """

    def spec(settings: ModelParameters) -> ModelSpec:
        return build_spec(key, settings, task=task, engines=engines, resolve_model=resolve_model, **more)

    first = spec(parameters)
    names = dict.fromkeys(parameters.variants if parameters.model in parameters.variants else (parameters.model,))
    variants, unavailable = list[Variant](), dict[str, str]()
    for name in names:
        if name == parameters.model:
            variants.append(Variant(name, first))
            continue
        known = CATALOG.get(name)
        if known is not None and (not resolve_model or (known.engines and parameters.engine not in known.engines)):
            unavailable[name] = f"engine '{parameters.engine}' does not run it"
            continue
        try:
            declared = expected_mb(name, resolve(name, task)) if resolve_model else parameters.declared_mb
        except ModelNotFound as error:
            unavailable[name] = str(error)
        else:
            if known is not None and known.engines and parameters.engine != known.engines[0]:
                declared = max(declared, parameters.declared_mb)  # the catalogue's figure is the first engine's
            variants.append(Variant(name, spec(replace(parameters, model=name, declared_mb=declared))))
    return ModelChoice(key, task, tuple(variants), unavailable, parameters.model, parameters.load == "on_activate")


def build_spec(
    key: str,
    parameters: ModelParameters,
    *,
    task: str,
    engines: Mapping[str, Engine],
    group: str = "",
    arguments: Mapping[str, Any] | None = None,
    resolve_model: bool = True,
    worker: str = "",
    nice: int = 19,
    background: bool = False,
) -> ModelSpec:
    """Checks a model's parameters and describes it to the pool. Imports no heavy library.

    Args:
        key: name of the parameter group, for messages, for instance "objects".
        parameters: what was set.
        task: task in the catalogue.
        engines: engines that may be chosen, by name.
        group: limit group of the pool.
        arguments: further arguments of the engine's constructor, besides model, device and threads.
        resolve_model: False when the model is not a file (a server's address, for instance).
        worker: name of a worker process to share unless the parameters name one; empty: a process of its own.
        nice: of the worker: 19 runs only in what others leave over; less where a person waits for the answer. A worker
            that the parameters name has SHARED_NICE: one process has one niceness, whoever loads first.
        background: nobody waits for its answers: it gives way in memory to models that somebody waits for.

    Raises:
        ParameterError: unknown engine, missing library or GPU, or a model that is not there.
    """
    engine = engines.get(parameters.engine)
    if engine is None:
        raise ParameterError(
            f"parameter '{key}.engine' is '{parameters.engine}', allowed is one of {', '.join(engines)}"
        )
    if engine.library and not _importable(engine.library):
        raise ParameterError(
            f"engine '{parameters.engine}' of {key} needs {engine.library}, which is not installed: {engine.install}"
        )
    if engine.nvidia and parameters.device == "cuda" and gpu_count() == 0:
        raise ParameterError(
            f"parameter '{key}.device' is 'cuda', but this machine has no NVIDIA GPU with a driver: use cpu or auto"
        )
    model = parameters.model
    if resolve_model:
        try:
            model = str(resolve(parameters.model, task))
        except ModelNotFound as error:
            raise ParameterError(f"parameter '{key}.model': {error}") from error
    return ModelSpec(
        name=f"{key}:{parameters.model}",
        task=task,
        engine=engine.path,
        group=group,
        arguments={"model": model, "device": parameters.device, "threads": parameters.threads, **(arguments or {})},
        declared_mb=parameters.declared_mb,
        ttl_s=parameters.ttl_s,
        pinned=parameters.pinned,
        worker=parameters.worker or worker,
        device=parameters.device,
        nice=SHARED_NICE if parameters.worker else nice,
        load_timeout_s=engine.load_timeout_s,
        background=background,
    )


def _importable(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # a parent package of a dotted name is missing
        return False

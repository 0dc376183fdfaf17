"""What the launch file starts: one action per process of the plan. Used where ROS's launch is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from bbia_ros.bringup import environment, new_log_folder
from bbia_ros.composition import COMPOSITIONS, DRIVERS, LOG_LEVELS, Options, plan_processes
from bbia_ros.manager.claim import claim

ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "namespace": ("bbia", "ROS namespace of all nodes"),
    "driver": ("mujoco", f"robot underneath: {', '.join(DRIVERS)}"),
    "mode": ("idle", "mode to enter at start: sleep, idle, watch, listen, converse, or one of your own"),
    "profile": ("", "models and budget: a name in config/profiles, or the path of a YAML file"),
    "composition": ("split", f"nodes to processes: {', '.join(COMPOSITIONS)}"),
    "log_level": ("info", ", ".join(LOG_LEVELS)),
}
"""Launch arguments: name -> (default, description)."""
_claims: list[IO[str]] = []  # of this launch, until it ends


def actions(context: Any) -> list[Any]:
    """One process per entry of the plan, from the launch arguments in `context`.

    Raises:
        BringupError: an argument is wrong, or such a stack is running already.
    """
    from launch.actions import ExecuteProcess
    from launch.substitutions import LaunchConfiguration

    chosen: dict[str, Any] = {name: str(LaunchConfiguration(name).perform(context)) for name in ARGUMENTS}
    plans = plan_processes(Options(**chosen), new_log_folder())
    _claims.append(claim(chosen["namespace"]))
    return [
        ExecuteProcess(
            # launch gives each process a pipe as its standard input: killed outright, launch takes the stack along.
            name=plan.name, cmd=plan.command("--end-with-stdin"), env=environment(), output="screen",
            respawn=True, respawn_delay=1.0, sigterm_timeout="5", sigkill_timeout="5",
        )
        for plan in plans
    ]  # fmt: skip

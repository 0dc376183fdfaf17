"""Draws the pictures of docs/motion.md: `python -m tools.plot_motion docs/images`."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from bbia_ros.motion.limiter import SPEED
from bbia_ros.motion.pose import NEUTRAL, PITCH, RIGHT, SLEEP, YAW, Z
from bbia_ros.motion.primary import Goto, PlayMove
from bbia_ros.motion.rehearsal import TICK, Stage, walk_by
from bbia_ros.motion.repertoire import MOVES
from bbia_ros.motion.trajectory import INTERPOLATIONS


def draw_trajectories(path: Path) -> None:
    """The four interpolations, and a script of motions blended into one another."""
    from matplotlib import pyplot

    figure, (shapes, script) = pyplot.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1, 2), layout="constrained")
    s = np.linspace(0.0, 1.0, 200)
    for name, shape in INTERPOLATIONS.items():
        shapes.plot(s, [shape(x) for x in s], label=name.replace("_", " "))
    shapes.set(xlabel="share of the time", ylabel="share of the way", title="Interpolations")
    shapes.legend(frameon=False, fontsize=8)
    stage = Stage(SLEEP, breathing=True)
    stage.run(4.5)
    stage.composer.feel("happy", 1.0)
    stage.run(2.5)
    stage.composer.queue.offer(PlayMove("yeah_nod", MOVES["yeah_nod"]))
    stage.run(2.0)
    turned = NEUTRAL.copy()
    turned[YAW] = 0.5
    stage.composer.queue.clear("")
    stage.composer.queue.offer(Goto(turned, 1.0))
    stage.run(2.0)
    stage.composer.feel("sad", 1.0)
    stage.run(3.0)
    sent = stage.sent()
    time = TICK * np.arange(len(sent))
    script.plot(time, np.degrees(sent[:, PITCH]), label="head pitch [deg], positive is nose down")
    script.plot(time, np.degrees(sent[:, YAW]), label="head yaw [deg]")
    script.plot(time, 1000.0 * sent[:, Z], label="head up [mm]")
    script.plot(time, np.degrees(sent[:, RIGHT]) / 10.0, label="right antenna [10 deg]")
    for at, what in ((0.0, "wake up"), (3.4, "breathe"), (4.5, "happy"), (7.0, "nod"), (9.0, "goto"), (11.0, "sad")):
        script.axvline(at, color="0.8", linewidth=0.8, zorder=0)
        script.text(at + 0.05, 33.0, what, fontsize=8, rotation=30)
    script.set(xlabel="time [s]", title="One thing after another, without a jump", ylim=(-50, 45))
    script.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=90)
    assert (np.abs(np.diff(sent, axis=0) / TICK)[:, :7] <= SPEED[:7] + SPEED[6]).all()


def draw_following(path: Path) -> None:
    """A visitor who walks by at 15 and at 30 degrees per second."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 4.2), sharex="col", height_ratios=(2, 1), layout="constrained")
    for column, speed in enumerate((15, 30)):
        walk = walk_by(math.radians(speed), friction=math.radians(2.0))
        median = math.degrees(float(np.median(walk.error[walk.moving])))
        above, below = axes[0][column], axes[1][column]
        above.plot(walk.time, np.degrees(walk.visitor), "k--", label="visitor")
        above.plot(walk.time, np.degrees(walk.gaze), label="optical axis")
        above.set(ylabel="azimuth [deg]", title=f"{speed} deg/s: median error {median:.1f} deg")
        above.legend(frameon=False)
        below.plot(walk.time, np.degrees(walk.error), color="tab:red")
        below.set(xlabel="time [s]", ylabel="error [deg]", ylim=(0, 12))
    figure.savefig(path, dpi=90)


def main() -> int:
    """Writes both pictures into the folder named on the command line."""
    import matplotlib

    matplotlib.use("Agg")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    draw_trajectories(folder / "motion_trajectories.png")
    draw_following(folder / "motion_following.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

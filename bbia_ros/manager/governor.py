"""Decides what the robot gives up when memory runs short, and what it takes back when there is room. Pure decisions.

The ladder, one step at a time: models that nobody uses are unloaded, tasks use smaller variants, nodes are
deactivated in the order of `Settings.give_up`. What was given up comes back, the last first, when it is predicted to
fit: its size is known from when it went. Two things keep this from flapping. In level, what comes back must leave
`room`, which is well above `low`. In time, it must have fitted without a break for `climb_s`; this time doubles with
every relapse (it had to be given up again soon after it had come back), up to 32-fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bbia_ros.manager import ladder
from bbia_ros.manager.levels import Level, Thresholds
from bbia_ros.manager.pressure import MB
from bbia_ros.manager.situation import Kind, Situation, Step

OVER_BUDGET = 1.05
"""Workers that measure more than this times the budget are pressure, whatever the machine has left."""
UNKNOWN_SIZE = 500 * MB
"""Room that is asked for something whose size was never seen [byte]: more than any model of the default set."""
STALL_SETTLE_S = 10.0
"""Between two steps down for PSI alone [s]: its figures are means over 10 s."""
CRITICAL_SETTLE_S = 0.5
"""Between two steps down when memory is critical [s]: one reading later."""
CRITICAL_HASTE = 0.4
"""When memory is critical, times of waiting are shorter by this factor."""
RETRY_S = 30.0
"""What failed is not tried again for so long [s]."""
PROMISE_S = 300.0
"""For so long what came back may still load what it needs [s]: models load at first use."""
RELAPSE_SHARE = 10.0
"""Given up again within this many times `climb_s` after it came back: a relapse."""
MOST_DOUBLINGS = 5
_KEPT_SIZES = 200
GRACE_S = 3.0
"""A step is believed for so long before the nodes' reports must show it [s]; they come at 1 Hz."""


@dataclass(frozen=True)
class Settings:
    """What can be set about the governor.

    Attributes:
        thresholds: where the levels begin.
        patience_s: [s] memory must be short for so long before the first step; shorter peaks pass by themselves.
        settle_s: [s] between two steps down: what the one before gave back must show.
        idle_s: [s] a model counts as unused after so long; sooner, its next call would only load it again. For as long
            memory must be short before anything in use is touched.
        nodes_after_s: [s] memory must be short for so long before a node goes; loading a model is over by then.
        climb_s: [s] what comes back must have fitted for so long, and the last step be so long ago.
        give_up: nodes that may be given up, first to last, each with those that go along because they need it.
        eviction: which unused models go first, weighted or lru.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    patience_s: float = 1.0
    settle_s: float = 3.0
    idle_s: float = 5.0
    nodes_after_s: float = 10.0
    climb_s: float = 30.0
    give_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    eviction: str = "weighted"


@dataclass
class _GivenUp:
    """One thing that is given up, with the step that did it."""

    step: Step
    when: float
    fits_since: float | None = None


@dataclass
class _Regained:
    """Something that came back, and what it is expected to need."""

    step: Step
    when: float


class Governor:
    """Owns what is given up and when what may come back. Does not own how a step is carried out.

    To be asked a few times a second with `decide`; each step that it returns must be answered with `ended`, and no
    other is given before.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._given_up: list[_GivenUp] = []
        self._regained: dict[str, _Regained] = {}
        self._relapses: dict[str, int] = {}
        self._spared: set[str] = set()
        self._barred: dict[str, float] = {}
        self._sizes: dict[str, int] = {}
        self._unloaded: dict[str, float] = {}
        self._running: Step | None = None
        self._began = 0.0
        self._short_since: float | None = None
        self._last_down = self._last_step = float("-inf")
        self._unloading = False

    # What others see -------------------------------------------------------------------------------------------------

    @property
    def given_up(self) -> list[str]:
        """What is given up now, in the order in which it went."""
        words = []
        for entry in self._given_up:
            step = entry.step
            change = f": {step.source} -> {step.goal}" if step.kind is Kind.SMALLER else ""
            words.append(f"{step.what}{change}")
        return words

    @property
    def rung(self) -> int:
        """The highest rung that is stood on, as in Pressure: 0 none, 1 idle models, 2 smaller variants, 3 nodes."""
        kinds = {entry.step.kind for entry in self._given_up}
        if Kind.GIVE_UP in kinds:
            return 3
        return 2 if Kind.SMALLER in kinds else int(self._unloading)

    @property
    def steps(self) -> list[Step]:
        """The steps down that are in force, in their order."""
        return [entry.step for entry in self._given_up]

    def restore(self, steps: Iterable[Step], now: float) -> None:
        """What an earlier governor had given up."""
        self._given_up = [_GivenUp(step, now) for step in steps]
        self._last_step = now

    def spare(self, what: str) -> None:
        """Somebody asked for this ("node emotion", "variant chat") by hand: it is not given up until `obey_again`."""
        self._spared.add(what)
        self._given_up = [entry for entry in self._given_up if entry.step.what != what]

    def obey_again(self) -> None:
        """A new mode was asked for: earlier requests for single things have had their time."""
        self._spared.clear()

    # Decisions -------------------------------------------------------------------------------------------------------

    def decide(self, now: float, situation: Situation) -> Step | None:
        """The next step, or None.

        Args:
            now: [s] steady clock.
            situation: at this moment.
        """
        self._learn(now, situation)
        short = situation.verdict.level >= Level.STRAINED
        if not short:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        over = self._over_limits(situation)
        if not short and not over and now - self._last_down >= self.settings.settle_s:
            self._unloading = False
        if self._running is not None:
            return None
        step = None
        if over is not None:
            step = self._for_limits(now, situation, *over)
        if step is None and short:
            step = self._down(now, situation)
        elif over is None:
            step = self._up(now, situation)
        self._running, self._began = step, now
        return step

    def ended(self, step: Step, ok: bool, now: float) -> None:
        """A step was carried out, or could not be.

        Args:
            step: as returned by `decide`.
            ok: whether it was.
            now: [s] steady clock.
        """
        self._running = None
        what = step.what
        if not ok:
            self._barred[what] = now + RETRY_S
            if not step.kind.down:
                self._relapses[what] = self._relapses.get(what, 0) + 1
            return
        self._last_step = now
        if step.kind.down:
            self._last_down = now
            self._unloading = True
            if step.kind is Kind.UNLOAD:
                self._unloaded[step.target] = self._began
            else:
                self._note_relapse(what, now)
                self._given_up.append(_GivenUp(step, now))
        else:
            entry = next((one for one in reversed(self._given_up) if one.step.what == what), None)
            if entry is not None:  # else somebody else had it back first
                self._given_up.remove(entry)
            self._regained[what] = _Regained(step, now)

    # Down ------------------------------------------------------------------------------------------------------------

    def _over_limits(self, situation: Situation) -> tuple[int, str, str, bool] | None:
        """(bytes too many, group, reason, whether models just used may go too) if a limit does not hold."""
        budget = situation.budget
        if budget and situation.reserved > budget:
            reason = f"models count for {situation.reserved / MB:.0f} MB of a budget of {budget / MB:.0f} MB"
            return situation.reserved - budget, "", reason, True
        for group, limit in situation.limits.items():
            if situation.resident(group) > limit:
                return 1, group, f"{situation.resident(group)} models of group {group}, limit {limit}", True
        if budget and situation.workers > OVER_BUDGET * budget:
            reason = f"workers take {situation.workers / MB:.0f} MB of a budget of {budget / MB:.0f} MB"
            return situation.workers - budget, "", reason, False
        return None

    def _for_limits(
        self, now: float, situation: Situation, missing: int, group: str, reason: str, recent: bool
    ) -> Step | None:
        idle = [
            model for model in ladder.unused(situation, 0.0, self._allowed(now)) if not group or model.group == group
        ]
        rested = [model for model in idle if model.idle_s >= self.settings.idle_s]
        if not recent or sum(model.size for model in rested) >= missing:
            idle = rested
        if now - self._last_down < CRITICAL_SETTLE_S:
            return None  # the reports may not show the step before yet
        return ladder.unload(idle, missing, reason, self.settings.eviction)

    def _down(self, now: float, situation: Situation) -> Step | None:
        verdict, settings = situation.verdict, self.settings
        critical = verdict.level == Level.CRITICAL
        short_for = now - (now if self._short_since is None else self._short_since)
        if not critical and short_for < settings.patience_s:
            return None
        settle_s = STALL_SETTLE_S if verdict.stalled_only else CRITICAL_SETTLE_S if critical else settings.settle_s
        if now - self._last_down < settle_s:
            return None
        missing = max(1, settings.thresholds.low - (verdict.headroom or 0))
        haste = CRITICAL_HASTE if critical else 1.0
        allowed = self._allowed(now)
        unused = ladder.unused(situation, haste * settings.idle_s, allowed)
        step = ladder.unload(unused, missing, verdict.reason, settings.eviction)
        if step is None and verdict.level >= Level.LOW and short_for >= haste * settings.idle_s:
            step = ladder.smaller(situation, tuple(settings.give_up), self._sizes, allowed)
            if step is None and short_for >= haste * settings.nodes_after_s:
                step = ladder.give_up(situation, settings.give_up, self._sizes, allowed)
        return step

    def _allowed(self, now: float) -> ladder.Allowed:
        return lambda what: what not in self._spared and self._barred.get(what, float("-inf")) <= now

    # Up --------------------------------------------------------------------------------------------------------------

    def _up(self, now: float, situation: Situation) -> Step | None:
        verdict, settings = situation.verdict, self.settings
        chosen: tuple[_GivenUp, int] | None = None
        for entry in reversed(self._given_up):
            size = self._need(entry.step, situation)
            left = (verdict.headroom or 0) - self._promised(now, situation) - size
            fits = verdict.level == Level.ROOM and left >= settings.thresholds.room
            fits = fits and self._may_return(entry, situation) and self._within_budget(entry.step, size, situation)
            if not fits or self._barred.get(entry.step.what, float("-inf")) > now:
                entry.fits_since = None
                continue
            if entry.fits_since is None:
                entry.fits_since = now
            if chosen is None and now - entry.fits_since >= self._dwell_s(entry.step.what):
                chosen = entry, size
        if chosen is None or now - self._last_step < settings.climb_s:
            return None
        entry, size = chosen
        held = now - (entry.fits_since or now)
        step, reason = entry.step, f"{verdict.reason}, enough for {held:.0f} s"
        if step.kind is Kind.SMALLER:
            return Step(Kind.LARGER, step.node, step.target, step.goal, step.source, size=size, reason=reason)
        return Step(Kind.REGAIN, step.node, along=step.along, size=size, reason=reason)

    def _may_return(self, entry: _GivenUp, situation: Situation) -> bool:
        """Variants come back one by one against the order in which they went, and not before their node."""
        step = entry.step
        if next(one for one in reversed(self._given_up) if one.step.what == step.what) is not entry:
            return False
        node = situation.nodes.get(step.node)
        return step.kind is Kind.GIVE_UP or node is None or not node.held

    def _within_budget(self, step: Step, size: int, situation: Situation) -> bool:
        """A node's models find room in the budget as ever; a larger variant that does not fit is refused for sure."""
        model = situation.in_use(step.node, step.target) if step.kind is Kind.SMALLER else None
        return model is None or not situation.budget or situation.reserved - model.size + size <= situation.budget

    def _need(self, step: Step, situation: Situation) -> int:
        """What it takes to have this back [byte]: for a moment, a larger variant stands beside the smaller one."""
        if step.kind is Kind.GIVE_UP:
            return max(step.size, step.need)
        model = situation.in_use(step.node, step.target)
        seen = 0 if model is None else self._sizes.get(model.called(step.source), 0)
        return max(seen, step.need) or UNKNOWN_SIZE

    def _promised(self, now: float, situation: Situation) -> int:
        """What has come back and not loaded all yet that it had [byte]."""
        total = 0
        for one in self._regained.values():
            if now - one.when > PROMISE_S:
                continue
            nodes = (one.step.node, *one.step.along)
            present = sum(
                model.size
                for model in situation.models
                if (model.node in nodes if one.step.kind is Kind.REGAIN else model.task == one.step.target)
            )
            total += max(0, one.step.size - present)
        return total

    def _note_relapse(self, what: str, now: float) -> None:
        back = self._regained.pop(what, None)
        if back is not None and now - back.when < RELAPSE_SHARE * self._dwell_s(what):
            self._relapses[what] = self._relapses.get(what, 0) + 1
        else:
            self._relapses.pop(what, None)

    def _dwell_s(self, what: str) -> float:
        return self.settings.climb_s * 2.0 ** min(self._relapses.get(what, 0), MOST_DOUBLINGS)

    # Reports ---------------------------------------------------------------------------------------------------------

    def _learn(self, now: float, situation: Situation) -> None:
        """Sizes of what is in memory; and what is not given up any more because somebody took it back."""
        for model in situation.models:
            if model.size:
                self._sizes.pop(model.name, None)
                self._sizes[model.name] = model.size
            unloaded = self._unloaded.get(model.name)
            if unloaded is not None and model.size and now - model.idle_s > unloaded:
                # It was used again: to unload it once more in the next pause would only keep it loading.
                self._barred[f"model {model.name}"] = now + ladder.RECENT_S
                del self._unloaded[model.name]
        self._unloaded = {name: when for name, when in self._unloaded.items() if now - when < ladder.RECENT_S}
        for name in list(self._sizes)[:-_KEPT_SIZES]:
            del self._sizes[name]
        self._barred = {what: until for what, until in self._barred.items() if until > now}
        moving = "" if self._running is None else self._running.what
        for entry in list(self._given_up):
            if entry.step.what != moving and not self._stands(entry, now, situation):
                self._given_up.remove(entry)

    def _stands(self, entry: _GivenUp, now: float, situation: Situation) -> bool:
        """Whether this is still given up, or somebody took it back by hand, or nobody wants it any more."""
        step = entry.step
        if step.kind is Kind.GIVE_UP:
            view = situation.nodes.get(step.node)
            if view is not None and view.wanted and view.active and not view.held:
                self._spared.add(step.what)
            return view is not None and view.wanted and view.held
        if now - entry.when < GRACE_S:
            return True
        model = situation.in_use(step.node, step.target)
        if model is None or step.goal not in model.variants or model.variant not in model.variants:
            return True
        return model.variants.index(model.variant) >= model.variants.index(step.goal)

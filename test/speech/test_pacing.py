from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.speech.pacing import Pacer


def run(seconds: float, lag: float, report_every: int) -> None:
    """Sends as soon as allowed; a loudspeaker plays with a delay and reports now and then."""
    pacer, now, begun, step = Pacer(0.2), 100.0, 100.0, 0
    while pacer.sent_s < seconds:
        wait = pacer.wait_s(now, 0.02)
        assert wait < 0.5 + lag
        now += wait
        if report_every and step % report_every == 0:
            pacer.report(now, min(pacer.sent_s, max(0.0, now - begun - lag)))
        if pacer.wait_s(now, 0.02) <= 1e-9:
            pacer.send(now, 0.02)
            truth = max(0.0, now - begun - (lag if report_every else 0.0))
            assert pacer.sent_s - truth <= 0.2 + 0.1 + 1e-6
        step += 1
    assert now - begun >= seconds - 0.3


@given(st.floats(0.5, 5.0), st.floats(0.0, 0.1), st.sampled_from([0, 2, 5]))
def test_never_far_ahead_of_the_loudspeaker_and_never_stuck(seconds: float, lag: float, report_every: int) -> None:
    run(seconds, lag, report_every)


def test_the_first_chunks_go_at_once() -> None:
    pacer = Pacer(0.2)
    for _ in range(10):
        assert pacer.wait_s(5.0, 0.02) < 1e-9
        pacer.send(5.0, 0.02)
    assert pacer.wait_s(5.0, 0.02) > 0.01


def test_when_the_voice_was_late_the_clock_stood_still() -> None:
    pacer = Pacer(0.2)
    pacer.send(0.0, 0.1)
    assert pacer.played_s(10.0) == 0.1
    pacer.send(10.0, 0.1)
    assert pacer.played_s(10.0) == 0.1
    assert abs(pacer.left_s(10.05) - 0.05) < 1e-9


def test_reports_are_believed_within_what_was_sent() -> None:
    pacer = Pacer()
    pacer.send(0.0, 0.5)
    pacer.report(0.1, 7.0)
    assert pacer.played_s(0.1) == 0.5
    pacer.report(0.2, 0.05)
    assert abs(pacer.played_s(0.3) - 0.15) < 1e-9


def test_a_loudspeaker_that_ran_dry_counts_from_zero_again() -> None:
    pacer = Pacer()
    pacer.send(0.0, 1.0)
    pacer.report(1.0, 1.0)
    pacer.ran_dry(2.0)
    pacer.send(3.0, 0.5)
    pacer.report(3.1, 0.1)
    assert abs(pacer.played_s(3.1) - 1.1) < 1e-9

import subprocess

from bbia_ros.manager.watch import Watch, process_exists


class Machine:
    def __init__(self):
        self.pids = {10, 20}
        self.watch = Watch(2.0, exists=lambda pid: pid in self.pids)

    def beat(self, node, pid, now, process="brain", fault=""):
        return self.watch.heartbeat(node, pid, process, fault, now)


def test_a_node_is_new_once_and_again_after_its_process_changed():
    machine = Machine()
    assert machine.beat("speech", 10, 0.0)
    assert not machine.beat("speech", 10, 0.2)
    assert machine.beat("speech", 20, 0.4)


def test_an_ended_process_is_noticed_at_the_next_check():
    machine = Machine()
    machine.beat("speech", 10, 0.0)
    machine.beat("motion", 20, 0.0, "control")
    assert machine.watch.check(0.1) == []
    machine.pids.discard(10)
    assert machine.watch.check(0.3) == [("speech", "its process brain (pid 10) has ended")]
    assert machine.watch.check(0.5) == []


def test_a_silent_node_is_lost_once_and_back_with_its_next_heartbeat():
    machine = Machine()
    machine.beat("speech", 10, 0.0)
    reports = [machine.watch.check(now / 10) for now in range(30)]
    (node, reason), *others = [item for report in reports for item in report]
    assert node == "speech"
    assert "no sign of life for 2.1 s" in reason
    assert "so it hangs" in reason
    assert others == []
    assert machine.beat("speech", 10, 3.0)
    assert not machine.beat("speech", 10, 3.2)


def test_silence_during_a_transition_in_its_process_is_no_loss():
    machine = Machine()
    machine.beat("speech", 10, 0.0)
    assert all(machine.watch.check(now / 10, busy={"brain"}) == [] for now in range(100))
    machine.watch.grant("brain", 10.0)
    assert machine.watch.check(10.1) == []
    assert [machine.watch.check(10.0 + now / 10) for now in range(1, 25)][-4:] != [[]] * 4


def test_a_manager_that_was_stopped_itself_blames_nobody():
    machine = Machine()
    machine.beat("speech", 10, 0.0)
    machine.watch.check(0.2)
    assert machine.watch.check(9.0) == []


def test_a_process_on_another_machine_is_not_claimed_to_have_ended():
    machine = Machine()
    machine.beat("speech", 99, 0.0)
    reports = [item for now in range(30) for item in machine.watch.check(now / 10)]
    assert "or the network" in reports[0][1]


def test_processes_of_this_machine_are_seen():
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert process_exists(child.pid)
        child.kill()
        child.wait()
        assert not process_exists(child.pid)
    finally:
        child.kill()
        child.wait()

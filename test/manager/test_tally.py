from types import SimpleNamespace as Message

from bbia_ros.manager.tally import tally, unload_order


def model(name, pid=0, pss=0, state="IDLE", used=0):
    return Message(name=name, pid=pid, pss_bytes=pss, state=state, last_used=Message(sec=used, nanosec=0))


def residency(process, pid, pss, *models):
    return Message(process=process, pid=pid, pss_bytes=pss, models=list(models))


def test_processes_shared_models_and_shared_workers_count_once():
    reports = [
        residency("brain", 1, 100, model("chat", 7, 50), model("embed", 8, 5)),
        residency("brain", 1, 100, model("chat", 7, 50), model("stt", 8, 5), model("tts", state="ABSENT")),
        residency("control", 2, 30),
    ]
    result = tally(reports)
    assert [(row.name, row.pid, row.pss_bytes) for row in result.processes] == [
        ("brain", 1, 100),
        ("control", 2, 30),
        ("chat", 7, 50),
        ("embed + stt", 8, 5),
    ]
    assert [row.name for row in result.models] == ["chat", "embed", "stt", "tts"]
    assert result.workers_bytes == 55
    assert result.total_pss_bytes == 185


def test_a_model_that_one_holder_reports_gone_and_another_present_is_present():
    reports = [residency("brain", 1, 0, model("chat", state="ABSENT")), residency("brain", 1, 0, model("chat", 7, 50))]
    assert [row.state for row in tally(reports).models] == ["IDLE"]


def test_inline_models_are_part_of_their_process():
    result = tally([residency("brain", 1, 100, model("toy", 1, 100))])
    assert result.workers_bytes == 0
    assert result.total_pss_bytes == 100


def test_idle_models_of_other_processes_go_least_recently_used_first():
    reports = {
        "speech": residency("brain", 1, 0, model("stt", 7, used=30), model("tts", 8, used=10), model("vad", 4)),
        "dialogue": residency("brain", 1, 0, model("chat", 9, used=5, state="BUSY"), model("stt", 7, used=30)),
        "driver": residency("control", 2, 0, model("camera", 3, used=1), model("arm", state="ABSENT")),
    }
    assert unload_order(reports, "arm") == [("speech", "tts"), ("speech", "stt"), ("speech", "vad")]
    assert unload_order(reports, "chat") == [("driver", "camera")]
    assert [name for _, name in unload_order(reports, "unheard of")] == ["camera", "tts", "stt", "vad"]

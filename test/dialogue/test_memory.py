from __future__ import annotations

import errno
import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from bbia_ros.dialogue import journal as journal_module
from bbia_ros.dialogue.journal import Journal
from bbia_ros.dialogue.memory import MAX_FACTS, ConversationMemory, Message


def say(memory: ConversationMemory, *texts: str, stamp: float = 1.0) -> None:
    for text in texts:
        memory.add(Message("user", text, stamp))


def texts(memory: ConversationMemory) -> list[str]:
    return [message.text for message in memory.messages()]


def test_comes_back_after_a_restart(tmp_path: Path) -> None:
    memory = ConversationMemory(tmp_path)
    say(memory, "first", "zweites, ça va ?")
    memory.remember_name("Anna")
    memory.remember("I like tea")
    assert memory.close()
    again = ConversationMemory(tmp_path)
    assert texts(again) == ["first", "zweites, ça va ?"]
    assert (again.person, again.facts) == ("Anna", ("I like tea",))
    assert again.close()


def test_keeps_at_most_1000_messages(tmp_path: Path) -> None:
    memory = ConversationMemory(tmp_path)
    for number in range(1200):
        say(memory, f"message {number}")
        if number % 400 == 0:
            memory.flush()
    assert len(memory.messages()) == 1000
    assert memory.close()
    again = ConversationMemory(tmp_path)
    assert (texts(again)[0], texts(again)[-1]) == ("message 200", "message 1199")
    assert again.close()


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    memory = ConversationMemory(tmp_path)
    say(memory, "kept")
    memory.close()
    with (tmp_path / "conversation.jsonl").open("a") as stream:
        stream.write('{"role": "user", "text": "half a mess')
    again = ConversationMemory(tmp_path)
    assert texts(again) == ["kept"]
    say(again, "after the crash")
    assert again.close()
    third = ConversationMemory(tmp_path)
    assert texts(third) == ["kept", "after the crash"]
    third.close()


def test_a_large_file_is_compressed_and_still_read(tmp_path: Path) -> None:
    memory = ConversationMemory(tmp_path, compress_bytes=5000)
    for part in range(4):
        say(memory, *(f"message {part}-{number} " + "x" * 50 for number in range(50)))
        assert memory.flush()
    assert memory.close()
    archives = sorted(tmp_path.glob("conversation-*.jsonl.gz"))
    assert len(archives) == 4
    assert json.loads(gzip.decompress(archives[0].read_bytes()).splitlines()[0])["text"].startswith("message 0-0")
    again = ConversationMemory(tmp_path)
    assert len(texts(again)) == 200
    assert texts(again)[0].startswith("message 0-0")
    again.close()


def test_old_archives_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "log", compress_bytes=10, keep_archives=2)
    for number in range(5):
        journal.append({"number": number, "padding": "x" * 20})
        assert journal.flush()
    assert journal.close()
    assert [entry["number"] for entry in journal.read(100)] == [3, 4]


def test_forgetting_leaves_no_trace(tmp_path: Path) -> None:
    memory = ConversationMemory(tmp_path, compress_bytes=1000)
    memory.remember_name("Anna")
    memory.remember("my secret is 1234")
    say(memory, *["my secret is 1234"] * 40)
    memory.flush()
    memory.forget()
    assert memory.flush()
    assert (memory.person, memory.facts, memory.messages()) == ("", (), [])
    say(memory, "a new start")
    assert memory.close()
    for file in tmp_path.iterdir():
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert b"secret" not in data
        assert b"Anna" not in data
    again = ConversationMemory(tmp_path)
    assert texts(again) == ["a new start"]
    again.close()


def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, reported, over = threading.Event(), threading.Event(), threading.Event()
    problems: list[str] = []
    real = os.fsync
    full.set()

    def fsync(descriptor: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(journal_module.os, "fsync", fsync)
    monkeypatch.setattr(journal_module, "RETRY_S", 0.05)

    def problem(sentence: str) -> None:
        problems.append(sentence)
        reported.set()

    journal = Journal(tmp_path, "log", on_error=problem, on_recovery=over.set)
    journal.append({"number": 1})
    assert reported.wait(5.0)
    journal.append({"number": 2})
    full.clear()
    assert over.wait(5.0)
    assert journal.flush()
    assert journal.close()
    assert problems == [f"The conversation cannot be saved in {tmp_path}: No space left on device."]
    assert [entry["number"] for entry in journal.read(10)] == [1, 2]


def test_adding_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(journal_module.os, "fsync", lambda _: stuck.wait(10.0))
    memory = ConversationMemory(tmp_path)
    done = threading.Event()

    def talk() -> None:
        say(memory, *(f"message {number}" for number in range(3000)))
        done.set()

    threading.Thread(target=talk).start()
    assert done.wait(5.0)
    assert len(memory.messages()) == 1000
    stuck.set()
    memory.close()


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = ConversationMemory(None, max_messages=2)
    say(memory, "one", "two", "three", "  ")
    assert texts(memory) == ["two", "three"]
    assert memory.close()
    assert list(tmp_path.iterdir()) == []


def test_a_new_conversation_has_no_context_but_keeps_its_history() -> None:
    memory = ConversationMemory(None)
    say(memory, "old", stamp=10.0)
    memory.start_anew(now=11.0)
    say(memory, "new", stamp=12.0)
    assert [message.text for message in memory.context(10)] == ["new"]
    assert texts(memory) == ["old", "new"]


def test_facts_are_bounded_and_kept_once() -> None:
    memory = ConversationMemory(None)
    for number in [*range(MAX_FACTS + 10), MAX_FACTS + 9]:
        memory.remember(f"fact {number}")
    assert len(memory.facts) == MAX_FACTS
    assert memory.facts[-1] == f"fact {MAX_FACTS + 9}"


@pytest.mark.parametrize(
    "line", ["not json", "[1, 2]", '{"role": "user"}', '{"role": "user", "text": "a", "stamp": "x"}']
)
def test_strange_lines_are_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "conversation.jsonl").write_text(line + "\n")
    memory = ConversationMemory(tmp_path)
    assert memory.messages() == []
    memory.close()

"""Downloads from a server of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bbia_ros.residency.catalog import CATALOG, CatalogEntry, models_folder
from bbia_ros.residency.fetching import FetchFailed, fetch


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    for name, size in (("model.gguf", 3_000_000), ("model.bin", 2_000_000), ("config.json", 10)):
        (folder / name).write_bytes(b"x" * size)
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def _own_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def entry(url: str, path: str = "m/model.gguf", minimum: int = 3_000_000, **fields: object) -> CatalogEntry:
    return replace(CATALOG["smollm2-360m"], name="m", url=url, path=path, minimum_bytes=minimum, **fields)


def test_one_file_is_fetched_once(server: str) -> None:
    seen: list[tuple[str, int, int]] = []
    wanted = entry(f"{server}/model.gguf")
    path = fetch(wanted, progress=lambda *news: seen.append(news))
    assert path == models_folder() / "m" / "model.gguf"
    assert path.stat().st_size == 3_000_000
    assert seen[-1] == ("model.gguf", 3_000_000, 3_000_000)
    count = len(seen)
    assert fetch(wanted, progress=lambda *news: seen.append(news)) == path
    assert len(seen) == count


def test_a_folder_of_files_is_put_in_place_as_a_whole(server: str) -> None:
    path = fetch(entry(server, "m", 2_000_010, files=("model.bin", "config.json")))
    assert path.is_dir()
    assert {file.name for file in path.iterdir()} == {"model.bin", "config.json"}


@pytest.mark.parametrize(
    ("url", "minimum", "files", "says"),
    [
        ("nothing.gguf", 1, (), "cannot be downloaded: HTTP Error 404"),
        ("model.gguf", 3_000_001, (), "came with 3000000 bytes, at least 3000001 are expected"),
        ("", 1, ("model.bin", "missing.json"), "missing.json cannot be downloaded"),
        ("model.gguf", 10**16, (), "MB are free"),
    ],
)
def test_what_does_not_come_whole_leaves_nothing(server: str, url: str, minimum: int, files: tuple, says: str) -> None:
    with pytest.raises(FetchFailed, match=says):
        fetch(entry(f"{server}/{url}".rstrip("/"), "m" if files else "m/model.gguf", minimum, files=files))
    assert list(models_folder().iterdir()) == []


def test_without_a_network_one_sentence_says_so() -> None:
    with pytest.raises(FetchFailed, match="is there a network"):
        fetch(entry("http://127.0.0.1:9/model.gguf"))

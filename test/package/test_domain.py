from __future__ import annotations

import os
from pathlib import Path

from bbia_ros.domain import LAST_DOMAIN, free_domain


def table(folder: Path, domains: list[int]) -> Path:
    rows = [f"  1: 00000000:{7400 + 250 * domain + 1:04X} 00000000:0000 07 0 0 0 0 0 0" for domain in domains]
    path = folder / "udp"
    path.write_text("\n".join(["  sl  local_address rem_address st", *rows]) + "\n", encoding="ascii")
    return path


def test_a_domain_in_use_is_passed_over(tmp_path: Path) -> None:
    wanted = 1 + os.getpid() % LAST_DOMAIN
    assert free_domain((table(tmp_path, []),)) == wanted
    assert free_domain((table(tmp_path, [wanted]),)) == 1 + wanted % LAST_DOMAIN


def test_a_machine_that_is_full_or_tells_nothing_still_gets_one(tmp_path: Path) -> None:
    assert 1 <= free_domain((table(tmp_path, list(range(LAST_DOMAIN + 1))),)) <= LAST_DOMAIN
    assert 1 <= free_domain((tmp_path / "missing",)) <= LAST_DOMAIN

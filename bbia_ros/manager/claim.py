"""One stack per namespace and ROS domain on this machine: two would take each other's nodes for their own."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from bbia_ros.manager.parameter_files import BringupError
from bbia_ros.residency.errors import LedgerError
from bbia_ros.residency.ledger import runtime_directory


def claim(namespace: str, domain: int | str | None = None) -> IO[str]:
    """Claims the names of a stack until the returned file is closed or this process ends, however it ends.

    Args:
        namespace: of the stack's nodes; slashes at its ends do not matter.
        domain: ROS domain; None: the environment's.

    Raises:
        BringupError: another stack of this user has them.
    """
    domain, plain = os.environ.get("ROS_DOMAIN_ID") or "0" if domain is None else domain, namespace.strip("/")
    try:
        folder = runtime_directory()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / f"stack-{domain}-{plain.replace('/', '.')}.lock").open("a+", encoding="utf-8")
    except (LedgerError, OSError) as error:
        raise BringupError(f"no stack can be started: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        who = f" (process {holder})" if holder else ""
        raise BringupError(
            f"a stack is already running in namespace '/{plain}' of ROS domain {domain}{who}; "
            "end it first, or choose another namespace or domain"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file

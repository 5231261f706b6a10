"""A large archive, quickly: real instances, coded once and written again and again under new UIDs. Run as a program, it
ends by SIGKILL and leaves SQLite's log as long as its last instances made it, because a reader held it.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from mripacs.archive import Archive
from mripacs.cli.crash.copies import new_uid
from mripacs.core.model import NewInstance
from mripacs.store import Store, writing
from mripacs.store.packing import pack_header

AT_ONCE = 500  # instances of one transaction: the archive is made quickly
ALONE = 1000  # the last ones, each in a commit of its own, make the log long


def coded(folder: Path, files: list[Path]) -> list[NewInstance]:
    """What the node would write for the files."""
    seen: list[NewInstance] = []
    plain = Store.add

    def add(store, new):
        seen.append(new)
        return plain(store, new)

    Store.add = add
    try:
        with Archive.open(folder / "coded") as archive:
            for path in files:
                archive.store(path)
    finally:
        Store.add = plain
    return seen


def copy_of(new: NewInstance) -> NewInstance:
    uid = new_uid(40)
    return replace(new, sop_instance_uid=uid, original_sop_instance_uid=uid)


def fill(store: Store, examples: list[NewInstance], count: int) -> None:
    """Write copies, many in each transaction."""
    for start in range(0, count, AT_ONCE):
        copies = [copy_of(examples[number % len(examples)]) for number in range(start, min(count, start + AT_ONCE))]
        with store._writing() as connection:
            for new in copies:
                writing.write_instance(connection, new, pack_header(connection, new, store._references))


def main(url: str, folder: Path, count: int, files: list[Path]) -> None:
    examples = coded(folder, files)
    with Store.open(url) as store:
        for new in examples:
            store.add(new)  # the references of their series
        fill(store, examples, count - len(examples) - ALONE)
        with store._reading() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM instance").scalar_one()
            for number in range(ALONE):
                store.add(copy_of(examples[number % len(examples)]))
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), [Path(name) for name in sys.argv[4:]])

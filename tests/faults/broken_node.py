"""`mripacs` with one promise broken. Run as a program: BROKEN names the way, see WAYS; workers are not touched."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time

from mripacs.archive import Archive
from mripacs.cli.app import main
from mripacs.dimse import handlers, statuses
from mripacs.retrieve.ahead import Fetched
from mripacs.store import Store, waiting, writing

BROKEN = "BROKEN"
DELAY_S = 1.5  # how late the faulty nodes write: long enough for a kill to come between
ONE_IN = 5


def acknowledge_before_commit() -> None:
    """Success at once, the work in the background."""

    def handle(event, archive):
        received = handlers._received(event)

        def later():
            time.sleep(DELAY_S)
            archive.store(received)

        threading.Thread(target=later, daemon=True).start()
        return statuses.SUCCESS

    handlers._handle_store = handle


def index_before_payload() -> None:
    """The rows of the index in one commit, the payload in another."""
    plain_rows, plain_init, stores = writing._payload_rows, Store.__init__, []

    def init(store, *arguments):
        plain_init(store, *arguments)
        stores.append(store)

    def later(rows):
        time.sleep(DELAY_S)
        with stores[-1]._writing() as connection:
            connection.execute(writing._PAYLOAD, rows)

    def no_rows_yet(ids, placed):
        if rows := plain_rows(ids, placed):
            threading.Thread(target=later, args=[rows], daemon=True).start()
        return []

    writing._payload_rows, Store.__init__ = no_rows_yet, init


def drop_some() -> None:
    """One in five is acknowledged and thrown away."""
    plain, numbers = handlers._handle_store, itertools.count(1)

    def handle(event, archive):
        return statuses.SUCCESS if next(numbers) % ONE_IN == 0 else plain(event, archive)

    handlers._handle_store = handle


def alter_a_pixel() -> None:
    """One bit of the last bytes of what leaves is another."""
    plain = Fetched.encoded

    def encoded(fetched, accepted=None):
        outgoing = plain(fetched, accepted)
        altered = outgoing.dataset[:-9] + bytes([outgoing.dataset[-9] ^ 0x40]) + outgoing.dataset[-8:]
        return dataclasses.replace(outgoing, dataset=altered)

    Fetched.encoded = encoded


def alter_before_storing() -> None:
    """One bit of a pixel is another before anything is measured: only the certificate can tell, within the bound."""
    plain = handlers._received

    def received(event):
        item = plain(event)
        altered = item.dataset[:-9] + bytes([item.dataset[-9] ^ 1]) + item.dataset[-8:]
        return dataclasses.replace(item, dataset=altered)

    handlers._received = received


def recognise_nothing() -> None:
    """What is stored is not known to be: an instance that comes again is refused."""
    Store.identify = lambda *_: None


def lose_updates() -> None:
    """One in five instances is not counted in its study and series."""
    plain, numbers = writing.count_one_more, itertools.count(1)

    def count(*arguments):
        if next(numbers) % ONE_IN:
            plain(*arguments)

    writing.count_one_more = waiting.count_one_more = count


def remember_for_ever() -> None:
    """What was found or fetched once is found and fetched again, whatever became of it."""
    Archive.select = _remembering(Archive.select, lambda archive, selection: repr(selection))
    Fetched.encoded = _remembering(Fetched.encoded, lambda fetched, *_: fetched.identity.sop_instance_uid)


def _remembering(plain, key_of):
    answers = {}

    def answer(*arguments):
        key = key_of(*arguments)
        if key not in answers:
            answers[key] = plain(*arguments)
        return answers[key]

    return answer


def keep_everything() -> None:
    """Of each instance received, ten copies stay in memory."""
    plain, kept = handlers._received, []

    def received(event):
        item = plain(event)
        kept.extend(bytearray(item.dataset) for _ in range(10))
        return item

    handlers._received = received


WAYS = {
    function.__name__: function
    for function in (
        acknowledge_before_commit, index_before_payload, drop_some, alter_a_pixel, alter_before_storing,
        recognise_nothing, lose_updates, remember_for_ever, keep_everything,
    )
}  # fmt: skip

if __name__ == "__main__":
    WAYS[os.environ[BROKEN]]()
    main()

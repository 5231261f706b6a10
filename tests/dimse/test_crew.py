"""Threads that take turns at a listening socket."""

from __future__ import annotations

import errno
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from mripacs.dimse import crew
from mripacs.dimse.crew import Crew
from tests.e2e.node_process import wait_until


@contextmanager
def listening(monkeypatch, idle_s=2.0, kept=3, serve=None):
    """A socket, the crew's threads that served, and those that live."""
    monkeypatch.setattr(crew, "IDLE_S", idle_s)
    monkeypatch.setattr(crew, "KEPT", kept)
    served = []

    def answer(accepted):
        connection, _ = accepted
        with connection:
            served.append(threading.current_thread())
            connection.sendall(connection.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        crew.wait_briefly(listener)
        Crew(listener.accept, serve or answer).engage()
        try:
            yield listener.getsockname()[1], served
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            until(lambda: not living())


def living():
    return [thread for thread in threading.enumerate() if thread.name == "association"]


def until(condition):
    wait_until(condition, 10, "what the test waits for")


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        yield connection


def ask(port):
    with connected(port) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        assert connection.recv(1) == b""


def test_one_after_the_other_starts_few_threads(monkeypatch):
    with listening(monkeypatch) as (port, served):
        for _ in range(30):
            ask(port)
        assert len(served) == 30
        assert len(set(served)) <= 3
        assert len(living()) <= 3


def test_a_crowd_is_served_at_once_and_leaves_no_more_than_are_kept(monkeypatch):
    with listening(monkeypatch) as (port, served):
        crowd = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(10)]
        until(lambda: len(served) == 10)
        assert len(set(served)) == 10
        assert len(living()) >= 11  # one listens
        ask(port)
        for connection in crowd:
            connection.close()
        until(lambda: len(living()) <= 3)
        ask(port)


def test_those_that_wait_in_vain_end_but_for_one(monkeypatch):
    with listening(monkeypatch, idle_s=0.2) as (port, _):
        for _ in range(3):
            ask(port)
        until(lambda: len(living()) == 1)
        time.sleep(0.5)
        assert len(living()) == 1
        ask(port)


def test_an_accept_that_fails_is_tried_again(monkeypatch):
    monkeypatch.setattr(crew, "PAUSE_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        crew.wait_briefly(listener)
        failures = [
            OSError(errno.EMFILE, "too many files"),
            ConnectionAbortedError(errno.ECONNABORTED, "gone"),
            MemoryError(),
        ]
        served = []

        def accept():
            if failures:
                raise failures.pop()
            return listener.accept()

        Crew(accept, served.append).engage()
        with connected(listener.getsockname()[1]):
            until(lambda: served)
        listener.shutdown(socket.SHUT_RDWR)
        until(lambda: not living())
        served[0][0].close()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=["threads", "memory"])
def test_a_system_without_threads_is_served_by_the_one_there_is(monkeypatch, error):
    with listening(monkeypatch) as (port, served):
        until(living)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left(error))
            ask(port)
            ask(port)
        ask(port)
        assert len(served) == 3


def none_left(error):
    def start(_):
        raise error

    return start


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=["threads", "memory"])
def test_a_crew_without_its_first_thread_says_so(monkeypatch, error):
    made = Crew(lambda: None, lambda _: None)
    monkeypatch.setattr(threading.Thread, "start", none_left(error))
    with pytest.raises(type(error)):
        made.engage()
    assert made._waiting == 0


def test_what_is_accepted_has_no_time_out_of_its_listeners(monkeypatch):
    """Linux gives it to every connection that is accepted: a blocking read would end with it."""
    monkeypatch.setattr(crew, "IDLE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        crew.wait_briefly(listener)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with connected(listener.getsockname()[1]):
            accepted, _ = listener.accept()
            with accepted:
                with pytest.raises(BlockingIOError):
                    accepted.recv(1)
                crew.wait_long(accepted)
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == bytes(16)

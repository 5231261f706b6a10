"""Where C-MOVE sends to: a storage SCP that takes everything, answers at once and keeps nothing."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from mripacs.cli.node_bench import command_set as fields
from mripacs.cli.node_bench.command_set import encode_command, number_of
from mripacs.cli.node_bench.upper_layer import (
    ASSOCIATE_RQ,
    HEADER,
    RELEASE_RP,
    Message,
    accept,
    buffered,
    message,
    read_message,
    read_pdu,
)
from mripacs.core.errors import PeerError


def store_response(request: Message) -> bytes:
    """The command set of a C-STORE-RSP with success (PS3.7 9.3.1.2)."""
    return encode_command(
        {
            fields.AFFECTED_SOP_CLASS: request.command[fields.AFFECTED_SOP_CLASS].rstrip(b"\0 ").decode("ascii"),
            fields.COMMAND_FIELD: fields.C_STORE_RQ | fields.RESPONSE,
            fields.ANSWERED_ID: number_of(request.command, fields.MESSAGE_ID),
            fields.DATASET_TYPE: fields.NO_DATASET,
            fields.STATUS: 0,
            fields.AFFECTED_SOP_INSTANCE: request.command[fields.AFFECTED_SOP_INSTANCE].rstrip(b"\0 ").decode("ascii"),
        }
    )


class MoveSink:
    """Listens on a port of its own from the start; a context manager. `received` counts instances."""

    title = "BENCHSINK"

    def __init__(self) -> None:
        self.received = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="C-MOVE sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed: this is the end
                return
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        """One association, until it is released or broken off: its requestor says what came of it."""
        with buffered(connection) as incoming:
            try:
                kind, body = read_pdu(incoming)
                if kind != ASSOCIATE_RQ:
                    return
                answer, max_pdu_bytes = accept(body)
                connection.sendall(answer)
                while True:
                    request = read_message(incoming)
                    self.received += 1
                    connection.sendall(message(request.context_id, store_response(request), b"", max_pdu_bytes))
            except (PeerError, OSError):
                with suppress(OSError):
                    connection.sendall(HEADER.pack(RELEASE_RP, 4) + bytes(4))

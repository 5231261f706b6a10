"""Answers leave in one write, and nothing that is held back is lost."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mripacs.dicomweb.http_protocol import BoundedHttp
from mripacs.dicomweb.one_write import HEAD_BYTES, OneWrite

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"b" * 50_000


class Recorded(asyncio.Transport):
    """Writes down what is written, call by call."""

    def __init__(self):
        super().__init__()
        self.writes = []
        self.closing = False

    def write(self, data):
        self.writes.append(bytes(data))

    def writelines(self, parts):
        self.writes.append(b"".join(parts))

    def close(self):
        self.closing = True

    def is_closing(self):
        return self.closing

    def resume_reading(self):
        pass


async def answer(scope, receive, send):
    """An application that answers every request with a body, in one piece or in three."""
    pieces = scope["query_string"].split(b",") if scope["query_string"] else [BODY]
    headers = [] if len(pieces) > 1 else [(b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number, piece in enumerate(pieces, 1):
        await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


def writes_of(protocol_class, request=REQUEST):
    """What uvicorn's protocol writes for a request."""

    async def serve():
        config = uvicorn.Config(answer, log_config=None, access_log=False, lifespan="off")
        protocol, transport = protocol_class(config, ServerState(), {}), Recorded()
        protocol.connection_made(transport)
        protocol.data_received(request)
        await asyncio.sleep(0.05)
        protocol.connection_lost(None)
        return transport.writes

    return asyncio.run(serve())


def test_head_and_body_are_one_write():
    """Where uvicorn alone makes two: when it no longer does, this is needless."""
    (written,) = writes_of(BoundedHttp)
    head, body = writes_of(HttpToolsProtocol)
    assert written == head + body
    assert body == BODY


def test_a_body_in_pieces_is_whole_and_ended():
    """What is held back at the end is sent without another write."""
    request = REQUEST.replace(b"/ ", b"/?one,two,three ", 1)
    assert b"".join(writes_of(BoundedHttp, request)).endswith(b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")


@pytest.mark.parametrize("ending", ["waits", "closes", "is lost"])
def test_what_is_held_back_goes_out(ending):
    """When the loop has nothing else to do, or with the connection's end; on a lost connection nothing is written."""

    async def write():
        transport = Recorded()
        writing = OneWrite(transport, asyncio.get_running_loop())
        writing.write(b"head")
        assert transport.writes == []
        if ending == "closes":
            writing.close()
            assert transport.writes == [b"head"]
        transport.closing |= ending == "is lost"
        await asyncio.sleep(0)
        return transport.writes

    assert asyncio.run(write()) == ([] if ending == "is lost" else [b"head"])


def test_long_writes_are_not_held_back():
    """They are no head."""

    async def write():
        transport = Recorded()
        OneWrite(transport, asyncio.get_running_loop()).write(b"x" * (HEAD_BYTES + 1))
        return transport.writes

    assert asyncio.run(write()) == [b"x" * (HEAD_BYTES + 1)]

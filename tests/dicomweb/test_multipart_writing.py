"""Multipart bodies: the same whole and in chunks, made no further ahead than a chunk, and ended with their reader."""

from __future__ import annotations

import asyncio

import pytest

from mripacs.dicomweb import multipart_writing
from mripacs.dicomweb.multipart_writing import CHUNK_BYTES, MultipartResponse, Part, whole_response

SIZES = [0, 1, 100_000, 3 * CHUNK_BYTES + 5, 7, *([50_000] * 80)]


def parts_of(sizes, taken=None, ended=None):
    """Parts whose making is written down."""
    try:
        for number, size in enumerate(sizes):
            if taken is not None:
                taken.append(number)
            yield Part("a/b", bytes([number % 256]) * size, f"http://there/{number}")
    finally:
        if ended is not None:
            ended.append(True)


@pytest.fixture(autouse=True)
def _one_boundary(monkeypatch):
    monkeypatch.setattr(multipart_writing, "_new_boundary", lambda: "BOUNDARY")


def test_chunks_are_the_whole():
    """Whatever the sizes; no chunk is much larger than it may be."""
    whole = whole_response(parts_of(SIZES), "a/b")

    async def read():
        return [chunk async for chunk in MultipartResponse(parts_of(SIZES), "a/b").body_iterator]

    chunks = asyncio.run(read())
    assert b"".join(chunks) == whole.body
    assert whole.body.startswith(
        b"--BOUNDARY\r\nContent-Type: a/b\r\nContent-Length: 0\r\nContent-Location: http://there/0"
    )
    assert whole.body.endswith(b"\r\n--BOUNDARY--\r\n")
    assert whole.body.count(b"--BOUNDARY") == len(SIZES) + 1
    assert max(map(len, chunks)) < 2 * CHUNK_BYTES
    assert len(chunks) < len(SIZES) / 2, "small parts go together"


def test_a_reader_that_goes_ends_the_making():
    """One chunk was taken: no more than the next is made, and the parts are closed."""
    taken, ended = [], []

    async def read_one():
        body = MultipartResponse(parts_of([50_000] * 200, taken, ended), "a/b").body_iterator
        await anext(body)
        await asyncio.sleep(0.1)
        made = len(taken)
        await body.aclose()
        await asyncio.sleep(0.1)
        return made

    made = asyncio.run(read_one())
    assert made == len(taken) < 10
    assert ended == [True]


def test_an_error_ends_the_body_without_its_last_boundary():
    """The client must know that it is not whole."""

    def failing():
        yield Part("a/b", bytes(200_000))
        raise KeyError("in the middle")

    got = []

    async def read():
        async for chunk in MultipartResponse(failing(), "a/b").body_iterator:
            got.append(chunk)

    with pytest.raises(KeyError):
        asyncio.run(read())
    assert b"--BOUNDARY--" not in b"".join(got)
    assert len(b"".join(got)) > 200_000

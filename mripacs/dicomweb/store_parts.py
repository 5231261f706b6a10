"""The parts of a STOW request: kept in memory while small, on disk while large, stored as soon as they are whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Self

import orjson

from mripacs.archive import Archive
from mripacs.core.errors import InvalidIdentityError, MripacsError, NotDicomError, ObjectTooLargeError
from mripacs.core.model import ReceivedFrom, ReceivedObject
from mripacs.dicom import part10, xml_model
from mripacs.dicom.from_model import BulkPart, object_of
from mripacs.dicomweb.bodies import JSON, JSON_TYPES, XML
from mripacs.dicomweb.media import DEFAULT_SYNTAX, DICOM, OCTETS
from mripacs.dicomweb.negotiation import read_media_type
from mripacs.dicomweb.problems import RequestError
from mripacs.dicomweb.store_answer import Outcome
from mripacs.dicomweb.threads import in_thread

PART_TYPES = (DICOM, JSON, XML)  # what the `type` parameter of a body may say
IN_MEMORY_BYTES = 4 << 20  # of one part; beyond that it goes to a temporary file
IN_FLIGHT_PER_WORKER = 2  # instances stored at once for each codec process: one coded, one committed
DOOR = "STOW-RS"
# Of a metadata part. `[{},{},...]` becomes 25 times as much in memory, `<a/><a/>...` 40 times; an instance has 24 KB.
MAX_METADATA_BYTES = 16 << 20
MAX_MODELS = 10_000  # in one request
WAITING_IN_MEMORY_BYTES = 64 << 20  # metadata and bulk data that wait until the body ends; beyond that, on disk


class Shelf:
    """Parts that wait, one behind the other in one file: a file for each would use up those that may be open."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(WAITING_IN_MEMORY_BYTES)  # noqa: SIM115 - `close` is called by Intake
        self._lock = threading.Lock()

    def add(self, content: IO[bytes]) -> int:
        """Copy all of it; gives where it begins."""
        content.seek(0)
        start = self._file.seek(0, os.SEEK_END)
        shutil.copyfileobj(content, self._file)
        return start

    def read(self, start: int, size: int) -> bytes:
        """Thread-safe, once nothing is added any more."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)

    def close(self) -> None:
        """Forget them."""
        self._file.close()


@dataclass(slots=True)
class Incoming:
    """A part that is coming."""

    headers: dict[str, str]
    media_type: str
    transfer_syntax: str | None
    limit: int
    spool: IO[bytes] = field(default_factory=lambda: SpooledTemporaryFile(IN_MEMORY_BYTES))  # noqa: SIM115 - Intake's
    size: int = 0
    shelf: tuple[Shelf, int] | None = None  # where it waits, and from where on

    def write(self, content: bytes) -> None:
        """Keep some bytes; beyond the limit they are only counted."""
        self.size += len(content)
        if self.size <= self.limit:
            self.spool.write(content)

    def read(self) -> bytes:
        """All of it. Raises ObjectTooLargeError when it was larger than the limit."""
        if self.size > self.limit:
            raise ObjectTooLargeError(f"the part has {self.size} bytes, {self.limit} are allowed")
        if self.shelf is not None:
            shelf, start = self.shelf
            return shelf.read(start, self.size)
        self.spool.seek(0)
        return self.spool.read()

    def wait_on(self, shelf: Shelf) -> None:
        """Keep it there until the body ends."""
        if self.size <= self.limit:
            self.shelf = shelf, shelf.add(self.spool)
        self.spool.close()


class Intake:
    """Stores the parts of one request. `begin`, `write`, `end` for each part, then `outcomes`. A context manager."""

    def __init__(self, archive: Archive, source: ReceivedFrom, study: str | None, limit: int) -> None:
        self._archive = archive
        self._source = source
        self._study = study
        self._limit = limit
        workers = archive.settings.web.workers
        self._places = asyncio.Semaphore(max(1, IN_FLIGHT_PER_WORKER * workers))
        self._tasks: list[asyncio.Task[Outcome]] = []
        self._part: Incoming | None = None
        self._models: list[Incoming] = []
        self._bulk: dict[str, Incoming] = {}
        self._shelf = Shelf()
        self._strays: list[Outcome] = []

    def begin(self, headers: dict[str, str]) -> None:
        """A part begins. Raises RequestError 400 for headers that cannot be read."""
        media_type, parameters, _ = read_media_type(headers.get("content-type", "application/dicom"))
        limit = min(self._limit, MAX_METADATA_BYTES) if media_type in (*JSON_TYPES, XML) else self._limit
        self._part = Incoming(headers, media_type, parameters.get("transfer-syntax"), limit)

    def write(self, content: bytes) -> None:
        """Some of its bytes."""
        if self._part is not None:
            self._part.write(content)

    async def end(self) -> None:
        """It is whole: stored in a thread if it is an instance, kept if it is metadata or bulk data.

        Waits while as many are under way as may be, so that the sender is slowed down and memory is bounded.
        """
        part, self._part = self._part, None
        if part is None:
            return
        if part.media_type == DICOM:
            await self._start(lambda: self._store_part(part))
        elif part.media_type in (*JSON_TYPES, XML):
            part.wait_on(self._shelf)
            self._models.append(part)
        elif location := part.headers.get("content-location"):
            part.wait_on(self._shelf)
            self._bulk[location] = part
        else:
            self._strays.append(Outcome.failed(RequestError(400, f"a part of type {part.media_type} is no instance")))

    async def outcomes(self) -> list[Outcome]:
        """What became of each instance, in their order. Raises RequestError 413 for more than MAX_MODELS."""
        taken = 0
        for part in self._models:
            models = await in_thread(_models, part)
            taken += len(models)
            if taken > MAX_MODELS:
                raise RequestError(413, f"a request may describe {MAX_MODELS} instances: send fewer at once")
            for model in models:
                await self._start(lambda model=model: self._store_model(model))
        return [*(await asyncio.gather(*self._tasks)), *self._strays]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._shelf.close()
        if self._part is not None:
            self._part.spool.close()

    async def _start(self, job: Any) -> None:
        await self._places.acquire()

        async def run() -> Outcome:
            try:
                return await in_thread(job)
            finally:
                self._places.release()

        self._tasks.append(asyncio.create_task(run()))

    def _store_part(self, part: Incoming) -> Outcome:
        """In a thread."""
        with part.spool:
            try:
                received = part10.read_part10(part.read(), self._limit)
            except MripacsError as error:
                return Outcome.failed(error)
        return self._store(received)

    def _store_model(self, model: Any) -> Outcome:
        """In a thread."""
        try:
            return self._store(object_of(model, _Bulk(self._bulk)))
        except MripacsError as error:
            return Outcome.failed(error)

    def _store(self, received: ReceivedObject) -> Outcome:
        received = replace(received, source=DOOR, calling_ae=self._source.calling_ae, peer=self._source.peer)
        uids = (received.sop_class_uid, received.sop_instance_uid)
        try:
            study, series = part10.study_and_series(received, self._limit)
            if self._study is not None and study != self._study:
                raise InvalidIdentityError("Study Instance UID is not the one in the URL")
            return Outcome.of(self._archive.accept(received), *uids, study, series)
        except MripacsError as error:
            return Outcome.failed(error, *uids)


class _Bulk(Mapping[str, BulkPart]):
    """Bulk data by URI, read when it is asked for."""

    def __init__(self, parts: Mapping[str, Incoming]) -> None:
        self._parts = parts

    def __getitem__(self, uri: str) -> BulkPart:
        part = self._parts[uri]
        return BulkPart(part.read(), _syntax_of(part))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _models(part: Incoming) -> list[Any]:
    """The models in a metadata part. Raises NotDicomError."""
    content = part.read()
    if part.media_type == XML:
        return [xml_model.from_xml(content)]
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise NotDicomError(f"the JSON cannot be read: {error.msg}") from error
    return found if isinstance(found, list) else [found]


def _syntax_of(part: Incoming) -> str | None:
    """The transfer syntax of pixels; that of octets is Explicit VR Little Endian."""
    return part.transfer_syntax or (None if part.media_type == OCTETS else DEFAULT_SYNTAX.get(part.media_type))

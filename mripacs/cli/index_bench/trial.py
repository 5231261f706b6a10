"""A small and a large archive, asked, added to and opened in turn, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from mripacs.cli.index_bench import starting, synthetic
from mripacs.cli.index_bench.questions import QUESTIONS, Place, Question
from mripacs.core.model import NewInstance
from mripacs.store import Store
from mripacs.store.bulk import BulkStore
from mripacs.store.dissection import Dissection
from mripacs.store.scratch import scratch_database

SMALL, LARGE, EMPTY = "small", "large", "empty"
STUDIES_AT_ONCE = 20  # of a transaction that fills: 2000 instances
ROUNDS = 11  # of each question, small and large in turn
ADDED, ADDED_AT_ONCE = 400, 40  # real additions: 400 to each archive, 40 in turn
OPENINGS = 5
# Studies that each archive holds, others for each: what one was asked makes no statement ready for the other.
FIRST_ASKED = {SMALL: 60, LARGE: 60 + ROUNDS + 1}
LEAST_STUDIES = FIRST_ASKED[LARGE] + ROUNDS + 1


class Track(Protocol):
    """Shows how far a walk has come."""

    def __call__(self, numbers: Iterable[int], what: str) -> Iterable[int]:
        """The numbers, under a name."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of an archive."""

    studies: int
    instances: int

    @property
    def of_study(self) -> int:
        """Instances of each study."""
        return self.instances // self.studies


@dataclass(slots=True)
class Found:
    """What a trial measured: seconds by archive, bytes of the large one."""

    questions: dict[str, dict[str, Sequence[float]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    adding: dict[str, list[float]] = field(default_factory=dict)  # of each turn
    opening: dict[str, list[float]] = field(default_factory=dict)
    serving: dict[str, list[float]] = field(default_factory=dict)
    serving_processor: dict[str, list[float]] = field(default_factory=dict)
    filling: dict[str, float] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)


def run(small: Size, large: Size, server: str | None, folder: Path, *, serve: bool, track: Track) -> Found:
    """Fill throw-away databases and measure; `server` is the URL of a PostgreSQL server, None means SQLite files.

    serve : also start whole nodes, which takes ten seconds.
    """
    found = Found()
    if serve:
        starting.compile_codec()
    with _databases(server, folder) as urls:
        for name, size in ((SMALL, small), (LARGE, large)):
            began = time.perf_counter()
            _fill(urls[name], size, partial(track, what=f"filling {name}"))
            found.filling[name] = time.perf_counter() - began
        with Dissection.open(urls[LARGE]) as large_database:
            large_database.settle()
            found.parts = large_database.bytes_by_part()
        _ask(found, {SMALL: (urls[SMALL], small), LARGE: (urls[LARGE], large)}, track)
        _add(found, {EMPTY: (urls[EMPTY], 0), LARGE: (urls[LARGE], large.studies)}, large.of_study)
        for name in (EMPTY, LARGE) * OPENINGS:
            found.opening.setdefault(name, []).append(starting.open_archive(urls[name]))
        for name in (EMPTY, LARGE) * (2 if serve else 0):
            elapsed, processor = starting.serve(urls[name], folder / "node")
            found.serving.setdefault(name, []).append(elapsed)
            found.serving_processor.setdefault(name, []).append(processor)
    return found


@contextmanager
def _databases(server: str | None, folder: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(scratch_database(server, folder, name)) for name in (SMALL, LARGE, EMPTY)}


def _fill(url: str, size: Size, track: Callable[[Iterable[int]], Iterable[int]]) -> None:
    with BulkStore.open(url) as store:
        for first in track(range(0, size.studies, STUDIES_AT_ONCE)):
            numbers = range(first, min(size.studies, first + STUDIES_AT_ONCE))
            store.add_studies(synthetic.studies(numbers, size.of_study))


def _ask(found: Found, archives: Mapping[str, tuple[str, Size]], track: Track) -> None:
    """Each turn asks for another study, patient or instance, so that what was read once is no help."""
    with ExitStack() as stack:
        opened = {name: stack.enter_context(Store.open(url)) for name, (url, _) in archives.items()}
        places = {
            name: [_place(size, FIRST_ASKED[name] + turn) for turn in range(ROUNDS + 1)]
            for name, (_, size) in archives.items()
        }
        for number in track(range(len(QUESTIONS)), "asking"):
            question = QUESTIONS[number]
            seconds: dict[str, list[float]] = {name: [] for name in opened}
            for turn in range(ROUNDS + 1):
                for name, store in opened.items():
                    taken, found.rows[question.name] = _asked(store, question, places[name][turn])
                    seconds[name] += [taken] if turn else []  # the first fills the caches
            found.questions[question.name] = {name: tuple(taken) for name, taken in seconds.items()}


def _asked(store: Store, question: Question, place: Place) -> tuple[float, int]:
    query = question.ask(place)
    began = time.perf_counter()
    rows = sum(1 for _ in store.query(query))
    return time.perf_counter() - began, rows


def _place(size: Size, number: int) -> Place:
    news = synthetic.study(number, size.of_study)
    middle = news[len(news) // 2]
    attributes = {**middle.attributes.patient, **middle.attributes.study}
    return Place(size.studies, size.instances, attributes, middle.sop_instance_uid)


def _add(found: Found, archives: Mapping[str, tuple[str, int]], of_study: int) -> None:
    """Studies that each archive does not hold yet, added one instance after the other, as a node does."""
    with ExitStack() as stack:
        opened = {
            name: (stack.enter_context(Store.open(url)), _news(first, of_study))
            for name, (url, first) in archives.items()
        }
        for turn in range(ADDED // ADDED_AT_ONCE + 1):
            for name, (store, news) in opened.items():
                batch = list(islice(news, ADDED_AT_ONCE))
                began = time.perf_counter()
                for new in batch:
                    store.add(new)
                if turn:
                    found.adding.setdefault(name, []).append((time.perf_counter() - began) / len(batch))


def _news(first: int, of_study: int) -> Iterator[NewInstance]:
    return (new for number in range(first, first + ADDED) for new in synthetic.study(number, of_study))


def ratio(large: Sequence[float], small: Sequence[float]) -> float:
    """Of what was measured in turn: the median of the turns' own ratios."""
    return statistics.median(one / other for one, other in zip(large, small, strict=True))

"""The storage panel: what came, what it takes, by day, vendor and kind of byte, beside raw storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mripacs.core.model import GrowthRow, StorageGrowth
from mripacs.dicomweb.page.charts import Lines
from mripacs.dicomweb.page.html import page, render
from mripacs.dicomweb.targets import archive_of
from mripacs.dicomweb.threads import in_thread

# Orthanc keeps the file as it came and an index of 12.3 kB an instance (SQLite, measured on this project's data).
RAW_INDEX_BYTES = 12_300
MAX_POINTS = 120  # of the line: more days are taken together


@dataclass(frozen=True, slots=True)
class Sums:
    """Totals of some rows."""

    name: str
    instances: int
    received: int
    pixels: int  # received
    payload: int
    header: int  # kept

    @property
    def kept(self) -> int:
        """Payloads and headers, without the references that headers rest on."""
        return self.payload + self.header

    @property
    def header_received(self) -> int:
        """Received bytes that are no pixels."""
        return self.received - self.pixels

    @classmethod
    def of(cls, name: str, rows: Iterable[GrowthRow]) -> Sums:
        """The sums of rows under a name."""
        chosen = list(rows)
        return cls(
            name,
            sum(row.instances for row in chosen),
            sum(row.received_bytes for row in chosen),
            sum(row.received_pixel_bytes for row in chosen),
            sum(row.payload_bytes for row in chosen),
            sum(row.header_bytes for row in chosen),
        )


@page
async def storage(request: Request) -> Response:
    """The panel."""
    archive = archive_of(request)
    growth = await in_thread(archive.growth)
    health = await in_thread(archive.database_health)
    total = Sums.of("all", growth.rows)
    days = by_day(growth)
    return render(
        request,
        "storage.html",
        total=total,
        references=growth.reference_bytes,
        kept=total.kept + growth.reference_bytes,
        raw=total.received + total.instances * RAW_INDEX_BYTES,
        raw_index=total.instances * RAW_INDEX_BYTES,
        database=health,
        vendors=by_vendor(growth),
        first=days[0].name if days else "",
        last=days[-1].name if days else "",
        lines=cumulative(days),
        recent=list(reversed([day for day in days if day.instances]))[:14],
    )


def by_vendor(growth: StorageGrowth) -> list[Sums]:
    """Sums for each manufacturer as scanners write it, without case, the largest first."""
    names: dict[str, list[GrowthRow]] = {}
    for row in growth.rows:
        names.setdefault(row.manufacturer.casefold(), []).append(row)
    found = [Sums.of(rows[0].manufacturer or "(none given)", rows) for rows in names.values()]
    return sorted(found, key=lambda sums: -sums.received)


def by_day(growth: StorageGrowth) -> list[Sums]:
    """Sums for every day from the first to the last, those without any included."""
    if not growth.rows:
        return []
    rows: dict[str, list[GrowthRow]] = {}
    for row in growth.rows:
        rows.setdefault(row.day, []).append(row)
    first, last = (date.fromisoformat(day) for day in (min(rows), max(rows)))
    days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    return [Sums.of(day, rows.get(day, ())) for day in days]


def cumulative(days: Sequence[Sums]) -> Lines:
    """Bytes received and kept up to each day, from nothing; some days at once where there are many."""
    received = [0, *accumulate(day.received for day in days)]
    kept = [0, *accumulate(day.kept for day in days)]
    stride = -(-len(received) // MAX_POINTS)
    return Lines.of(_thinned(received, stride), _thinned(kept, stride))


def _thinned(values: Sequence[int], stride: int) -> list[int]:
    """Every stride-th value, counted from the last, which is always there."""
    return list(values[::-1][::stride][::-1])


ROUTES = [Route("/storage", storage)]

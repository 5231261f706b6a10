"""What a trial found, beside the bounds that the index is held to: rows of JSON, and cells of tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mripacs.cli.context import size
from mripacs.cli.index_bench.questions import QUESTIONS
from mripacs.cli.index_bench.trial import EMPTY, LARGE, SMALL, Found, Size, ratio

# Of the large archive against the small one, or an empty one; bytes and seconds as they are.
MOST_TIMES_SLOWER, LEAST_ADDING_RATE, MOST_INDEX_BYTES, MOST_START_S = 2.0, 0.8, 1500, 2.0
QUESTION_COLUMNS = ("question", "rows", "small, ms", "large, ms", "times", "bound")
FIGURE_COLUMNS = ("figure", "measured", "bound")


def as_json(found: Found, small: Size, large: Size, database: str) -> dict[str, Any]:
    """Everything, medians and what they were made of."""
    return {
        "database": database,
        SMALL: {"studies": small.studies, "instances": small.instances},
        LARGE: {"studies": large.studies, "instances": large.instances},
        "questions": [_question(found, question.name, question.grows) for question in QUESTIONS],
        "adding": {
            "ms_per_instance": {name: 1000 * statistics.median(taken) for name, taken in found.adding.items()},
            "rate_against_empty": ratio(found.adding[EMPTY], found.adding[LARGE]),
        },
        "opening_s": _medians(found.opening),
        "serving_s": _medians(found.serving),
        "serving_processor_s": _medians(found.serving_processor),
        "filling_s": found.filling,
        "index_bytes_per_instance": index_bytes(found) / large.instances,
        "bytes_per_instance": {name: bytes_ / large.instances for name, bytes_ in found.parts.items()},
    }


def index_bytes(found: Found) -> int:
    """All bytes of the large database but those of payloads and packed headers."""
    return sum(found.parts.values()) - 2 * found.parts["blobs"]  # they are among the parts, too


def question_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """A row for each question."""
    return [
        [row["question"], str(row["rows"]), f"{row['small_ms']:.2f}", f"{row['large_ms']:.2f}", f"{row['times']:.2f}",
         "-" if row["grows"] else f"<= {MOST_TIMES_SLOWER:g}"]
        for row in result["questions"]
    ]  # fmt: skip


def figure_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """What is not a question."""
    adding, start, processor = result["adding"], result["serving_s"], result["serving_processor_s"]
    cells = [
        [
            "rate of adding, against an empty archive",
            f"{adding['rate_against_empty']:.2f}",
            f">= {LEAST_ADDING_RATE:g}",
        ],
        ["index bytes an instance", f"{result['index_bytes_per_instance']:.0f}", f"<= {MOST_INDEX_BYTES}"],
        ["opening the archive, empty", f"{result['opening_s'][EMPTY]:.3f} s", "-"],
        ["opening the archive, large", f"{result['opening_s'][LARGE]:.3f} s", f"<= {MOST_START_S:g} s"],
    ]
    for name in start:
        bound = f"<= {start[EMPTY]:.2f} + {MOST_START_S:g} s" if name == LARGE else "-"
        cells.append([f"`mripacs serve` to C-ECHO, {name}", f"{start[name]:.2f} s", bound])
        cells.append([f"processor time of it, {name}", f"{processor[name]:.2f} s", "-"])
    return cells


def part_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """The database's largest parts, bytes an instance."""
    parts = sorted(result["bytes_per_instance"].items(), key=lambda part: -part[1])
    return [[name, size(bytes_)] for name, bytes_ in parts if bytes_ >= 1]


def _question(found: Found, name: str, grows: bool) -> dict[str, Any]:
    seconds = found.questions[name]
    return {
        "question": name,
        "rows": found.rows[name],
        "small_ms": 1000 * statistics.median(seconds[SMALL]),
        "large_ms": 1000 * statistics.median(seconds[LARGE]),
        "times": ratio(seconds[LARGE], seconds[SMALL]),
        "grows": grows,
    }


def _medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(taken) for name, taken in seconds.items()}

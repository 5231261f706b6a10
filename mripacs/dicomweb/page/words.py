"""Values as people read them: sizes, ratios, names and dates of DICOM."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
SPACE = "\N{NO-BREAK SPACE}"  # a number and its unit stay together


def size(count: float) -> str:
    """Bytes by powers of ten: 812 B, 4.3 kB, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g}{SPACE}{unit}" if count < 100 or unit == "B" else f"{count:.0f}{SPACE}{unit}"
        count /= 1000
    return f"{count:.3g}{SPACE}TB"


def ratio(before: float, after: float) -> str:
    """How many times smaller: 18.4×; a dash where nothing is kept."""
    if not after:
        return NOTHING
    times = before / after
    return f"{times:.1f}{TIMES}" if times < 100 else f"{times:.0f}{TIMES}"


def percent(value: float | None, digits: int = 2) -> str:
    """A relative error in per cent."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}{SPACE}%"


def person(name: object) -> str:
    """A PN for a list: "Family, Given Middle" of its first component group that says something (PS3.5 6.2.1)."""
    groups = [group for group in str(name or "").split("=") if group.strip("^ ")]
    if not groups:
        return "(no name)"
    family, *given = [part.strip() for part in groups[0].split("^")]
    rest = " ".join(part for part in given if part)
    return f"{family}, {rest}" if family and rest else family or rest


def date(value: object) -> str:
    """A DA as YYYY-MM-DD; what is no date as it is."""
    text = str(value or "").replace(".", "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def time(value: object) -> str:
    """A TM as HH:MM; what is no time as it is."""
    text = str(value or "").replace(":", "")
    return f"{text[:2]}:{text[2:4]}" if text[:4].isdigit() and len(text) >= 4 else text


def counted(number: object, noun: str) -> str:
    """A number with its noun: 1 instance, 2 instances; "series" is its own plural."""
    plain = number in (1, "1") or noun.endswith("s")
    return f"{number or 0}{SPACE}{noun if plain else noun + 's'}"

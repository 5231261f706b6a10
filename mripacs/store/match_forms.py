"""The forms in which values are compared: what is stored in match columns, and what a matching key becomes.

Both sides go through the same functions, so that a key finds the value it was copied from. Column forms are cut to
MATCH_LENGTH characters (the longest VR here, PN, has 64 a group); attributes given out are never cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from mripacs.core.errors import QueryError

MATCH_LENGTH = 256  # x 4 bytes stays below the 2704 bytes that a PostgreSQL index entry may take
INT64 = range(-(2**63), 2**63)
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")


def text_form(value: str | int | None) -> str | None:
    """LO, SH, CS, UI and the like: as they are, without outer blanks; None for an absent or empty value."""
    return str(value if value is not None else "").strip()[:MATCH_LENGTH] or None


def name_forms(value: str | int | None) -> tuple[str | None, str | None, str | None]:
    """Alphabetic, ideographic and phonetic group of a PN, folded, without trailing delimiters (PS3.5 6.2.1.1).

    Folding is Unicode's case folding of the composed form: É equals é but not E.
    """
    groups = [*str(value or "").split("="), "", "", ""][:3]
    alphabetic, ideographic, phonetic = (text_form(fold(group.strip().rstrip("^"))) for group in groups)
    return alphabetic, ideographic, phonetic


def fold(text: str) -> str:
    """The text with case differences removed, accents kept."""
    return unicodedata.normalize("NFC", text).casefold()


def date_form(value: str | int | None) -> str | None:
    """A DA as YYYYMMDD, also from ACR-NEMA's YYYY.MM.DD; None when it is neither."""
    digits = str(value or "").strip().replace(".", "")
    return digits if len(digits) == 8 and digits.isdigit() else None


def time_form(value: str | int | None) -> str | None:
    """A TM as HHMMSS.FFFFFF, what is not given being zero; None when it is none. ACR-NEMA's colons are taken."""
    found = _TIME.fullmatch(str(value or "").strip().replace(":", ""))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups("00")
    return f"{hour}{minute}{second}.{fraction:0<6}"


def earliest_time(value: str) -> str | None:
    """The lower bound for texts of that time or later, whatever their precision: HH, HHMM, HHMMSS or HHMMSS.F...F."""
    form = time_form(value)
    return form and re.sub(r"(?:00){0,2}$", "", form.rstrip("0").rstrip(".").ljust(6, "0"))


def latest_time(value: str) -> str | None:
    """The upper bound for texts of that time, every instant included that begins with it: "10" gives 105959.999999."""
    if time_form(value) is None:
        return None
    digits = value.strip().replace(":", "").replace(".", "")
    form = f"{digits}{'5959999999'[len(digits) - 2 :]}"
    return f"{form[:6]}.{form[6:]}"


def number_form(value: str | int | None) -> int | None:
    """An IS as an integer of 64 bits; None when it is none."""
    try:
        number = int(str(value).strip())
    except ValueError:
        return None
    return number if number in INT64 else None


def patient_key(patient: Mapping[str, str | int]) -> str:
    """What instances of one patient have in common: ID and issuer, or name and birth date where the ID is empty."""
    identifier = text_form(patient.get("PatientID"))
    if identifier:
        return f"{identifier}\\{text_form(patient.get('IssuerOfPatientID')) or ''}"
    return f"\\\\{name_forms(patient.get('PatientName'))[0] or ''}\\{date_form(patient.get('PatientBirthDate')) or ''}"


def storable(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    """The attributes without what a database refuses in text: NUL, and surrogates from a broken character set."""
    return {keyword: cleaned(value) if isinstance(value, str) else value for keyword, value in attributes.items()}


def difference(attributes: Mapping[str, str | int], common: Mapping[str, str | int]) -> dict[str, str | int]:
    """What must be kept of the attributes beside the common ones; "" stands for one that is only in `common`."""
    changed = {keyword: value for keyword, value in attributes.items() if common.get(keyword) != value}
    return changed | {keyword: "" for keyword in common if keyword not in attributes}


def cleaned(text: str) -> str:
    """The text without what a database refuses."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def require_storable(what: str, values: Iterable[str]) -> None:
    """Raise QueryError, which names `what`, for values that a database refuses: no stored one is their like."""
    text = "".join(values)
    if "\0" in text:
        raise QueryError(f"{what}: a matching key with a NUL in it, which no value has")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"{what}: a matching key with half a surrogate pair in it, which is no text") from error

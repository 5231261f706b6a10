"""The answer to a STOW request: what became of each instance (PS3.18 10.5.3, Annex I), and the status of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from mripacs.core.errors import MripacsError
from mripacs.core.model import Acknowledged
from mripacs.dicomweb.links import series_url, study_url
from mripacs.dicomweb.problems import RequestError

COERCED = 0xB000  # Coercion of Data Elements: what is served is a derived instance (PS3.18 Table I.2-1)
NOT_UNDERSTOOD = 0xC000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an instance is not stored. Not the exception itself: its traceback would hold the instance's bytes."""

    dimse_status: int
    http_status: int
    words: str

    @classmethod
    def of(cls, error: MripacsError) -> Self:
        """What an error says."""
        status = error.status if isinstance(error, RequestError) else error.http_status
        return cls(error.dimse_status, status, str(error))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance. UIDs are those that it was sent with, "" where they could not be read."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    lossy: bool = False
    failure: Failure | None = None

    @classmethod
    def of(cls, answer: Acknowledged, sop_class_uid: str, sop_instance_uid: str, study: str, series: str) -> Self:
        """It is stored."""
        return cls(sop_class_uid, sop_instance_uid, study, series, answer.lossy())

    @classmethod
    def failed(cls, error: MripacsError, sop_class_uid: str = "", sop_instance_uid: str = "") -> Self:
        """It is not."""
        return cls(sop_class_uid, sop_instance_uid, failure=Failure.of(error))

    @property
    def stored(self) -> bool:
        """Whether it is in the archive."""
        return self.failure is None

    @property
    def http_status(self) -> int:
        """What it would be answered with alone."""
        return self.failure.http_status if self.failure else 200


def status_of(outcomes: Sequence[Outcome]) -> int:
    """200 all stored as they are, 202 some not or coerced, else the one reason of all failures, else 409."""
    if any(outcome.stored for outcome in outcomes):
        return 200 if all(outcome.stored and not outcome.lossy for outcome in outcomes) else 202
    reasons = {outcome.http_status for outcome in outcomes}
    return reasons.pop() if len(reasons) == 1 else 409


def response_model(outcomes: Sequence[Outcome], base: str, study: str | None) -> dict[str, Any]:
    """The response's data set, in the DICOM JSON model."""
    stored = [outcome for outcome in outcomes if outcome.stored]
    failed = [_failure(outcome) for outcome in outcomes if not outcome.stored and outcome.sop_instance_uid]
    unnamed = [_reason(outcome) for outcome in outcomes if not outcome.stored and not outcome.sop_instance_uid]
    studies = {outcome.study_instance_uid for outcome in stored} or ({study} if study else set())
    model: dict[str, Any] = {}
    if len(studies) == 1:
        model["00081190"] = {"vr": "UR", "Value": [study_url(base, *studies)]}
    if failed:
        model["00081198"] = {"vr": "SQ", "Value": failed}
    if stored:
        model["00081199"] = {"vr": "SQ", "Value": [_reference(outcome, base) for outcome in stored]}
    if unnamed:
        model["0008119A"] = {"vr": "SQ", "Value": unnamed}  # Other Failures Sequence
    return model


def _reference(outcome: Outcome, base: str) -> dict[str, Any]:
    of_series = series_url(base, outcome.study_instance_uid, outcome.series_instance_uid)
    item = _uids(outcome)
    item["00081190"] = {"vr": "UR", "Value": [f"{of_series}/instances/{outcome.sop_instance_uid}"]}
    if outcome.lossy:
        item["00081196"] = {"vr": "US", "Value": [COERCED]}
    return item


def _failure(outcome: Outcome) -> dict[str, Any]:
    return _uids(outcome) | _reason(outcome)


def _reason(outcome: Outcome) -> dict[str, Any]:
    """Failure Reason, and in Error Comment what to change (LO: 64 characters)."""
    failure = outcome.failure or Failure(NOT_UNDERSTOOD, 400, "")
    return {
        "00000902": {"vr": "LO", "Value": [failure.words[:64]]},
        "00081197": {"vr": "US", "Value": [failure.dimse_status]},
    }


def _uids(outcome: Outcome) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }

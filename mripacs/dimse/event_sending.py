"""N-EVENT-REPORT beside whatever else an association does.

pynetdicom's `send_n_event_report` waits for the next message of any kind: a C-STORE that comes first is taken for the
answer, and the association is aborted. Here it is known by its type and by the message ID that it names, which is
the report's own (`event_answers`).
"""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from mripacs.core.errors import PeerError
from mripacs.dimse.receiving import BoundedDimse


def send_event_report(
    association: Association, context: PresentationContext, event_type: int, instance_uid: str, information: Dataset
) -> int:
    """Send a report on an accepted presentation context; gives the status of the answer (PS3.7 10.1.1).

    Raises PeerError when the association ends, or its DIMSE timeout passes, before the answer.
    """
    if not association.is_established:
        raise PeerError("the association has ended")
    if isinstance(association.dimse, BoundedDimse):
        request = _request(context, event_type, instance_uid, information)
        status = association.dimse.report_event(request, context.context_id)
    else:  # an association of our own, with nothing else on it
        answer, _ = association.send_n_event_report(information, event_type, context.abstract_syntax, instance_uid)
        status = answer.get("Status")
    if status is None:
        raise PeerError("the event report was not answered")
    return int(status)


def _request(context: PresentationContext, event_type: int, instance_uid: str, information: Dataset) -> N_EVENT_REPORT:
    syntax = context.transfer_syntax[0]
    request = N_EVENT_REPORT()
    request.AffectedSOPClassUID = context.abstract_syntax
    request.AffectedSOPInstanceUID = instance_uid
    request.EventTypeID = event_type
    request.EventInformation = BytesIO(
        encode(information, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    )
    return request

"""C-MOVE identifiers are checked before the destination is called.

pynetdicom asks its handler for a destination and associates with it before the handler can refuse anything but the
destination, so a wrong identifier would be answered 0xC514 or, worse, after a pointless association.
`QueryRetrieveServiceClass._move_scp` is the seam; a test fails when a new version moves it.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.service_class import QueryRetrieveServiceClass

from mripacs.core.errors import QueryError
from mripacs.dimse import identifiers
from mripacs.retrieve.matching import parse_selection

_plain_move_scp = QueryRetrieveServiceClass._move_scp


def _move_scp(self: QueryRetrieveServiceClass, request: C_MOVE, context: Any) -> None:
    try:
        syntax = context.transfer_syntax[0]
        identifier = identifiers.decode_identifier(request.Identifier, syntax)
        parse_selection(identifiers.level_of(identifier), identifiers.matching_keys(identifier))
    except QueryError as error:
        self.dimse.send_msg(_refusal(request, error), context.context_id)
        return
    _plain_move_scp(self, request, context)


def _refusal(request: C_MOVE, error: QueryError) -> C_MOVE:
    response = C_MOVE()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.Status = error.dimse_status
    return response


def install() -> None:
    """Put the check in place; calling it again changes nothing."""
    QueryRetrieveServiceClass._move_scp = _move_scp

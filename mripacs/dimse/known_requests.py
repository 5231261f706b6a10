"""A-ASSOCIATE-RQs that have come before: a scanner or viewer asks for the same, byte for byte, each time.

Decoding one, with every UID of it checked by an expression, takes 0.1 ms of processor time and more for each context
(1.5 ms for 30); finding it again takes 2 us. What is kept is read only by negotiation; a request that tells who the
user is (PS3.7 D.3.3.7) is not kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, UserIdentityNegotiation

MAX_BYTES = 8192  # of one that is kept; 40 contexts with two transfer syntaxes each
MAX_KEPT = 64  # senders and viewers of a site; what objects they become is some 30 times as large


class KnownRequest:
    """Stands for an `A_ASSOCIATE_RQ`, as far as the state machine asks for one (AE-6)."""

    def __init__(self, pdu: A_ASSOCIATE_RQ) -> None:
        self.protocol_version: int = pdu.protocol_version
        self._primitive: A_ASSOCIATE = pdu.to_primitive()

    def to_primitive(self) -> Any:
        """The request's primitive: the caller's own, its contexts and items shared."""
        primitive: Any = A_ASSOCIATE.__new__(A_ASSOCIATE)
        primitive.__dict__.update(self._primitive.__dict__)
        primitive.known = self  # by which `known_answers` finds what was answered
        return primitive

    @property
    def may_be_kept(self) -> bool:
        """Whether there is no user's name or password in it."""
        return not any(isinstance(item, UserIdentityNegotiation) for item in self._primitive.user_information)


class _NotKept(Exception):  # noqa: N818 - leaves lru_cache without an entry
    def __init__(self, request: KnownRequest) -> None:
        self.request = request


def decoded(content: bytes) -> Any:
    """The request in an A-ASSOCIATE-RQ PDU. Raises whatever pynetdicom meets in bytes that are none."""
    if len(content) > MAX_BYTES:
        return _read(content)
    try:
        return _kept(content)
    except _NotKept as fresh:
        return fresh.request


@lru_cache(MAX_KEPT)
def _kept(content: bytes) -> KnownRequest:
    request = _read(content)
    if not request.may_be_kept:
        raise _NotKept(request)
    return request


def _read(content: bytes) -> KnownRequest:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(content)
    return KnownRequest(pdu)

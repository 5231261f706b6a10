"""pynetdicom's `ServiceUser`s, the two ends of an association, made once for all associations that have the same.

Its constructor and setters check UIDs and titles anew for each association: 0.1 ms of processor time for both ends,
0.01 to take a copy. Its seam is the class, whose attributes `tests/dimse/test_service_users.py` compares.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import ServiceUser


def service_user(association: Any, mode: str) -> ServiceUser:
    """An end of an association about which nothing is known yet; `mode` is "requestor" or "acceptor"."""
    return _of(association, _unknown(mode, association.ae.implementation_class_uid))


def our_end(association: Any, mode: str, ae_title: str) -> ServiceUser:
    """Our end of an association: what its entity says of itself, under a title. Raises as pynetdicom's setters do."""
    entity: ApplicationEntity = association.ae
    named = (entity.implementation_class_uid, entity.implementation_version_name)
    return _of(association, _known(mode, *named, ae_title, entity.maximum_pdu_size))


@lru_cache(16)
def _unknown(mode: str, class_uid: str) -> ServiceUser:
    return ServiceUser(_stand_in(class_uid), mode)


@lru_cache(64)
def _known(mode: str, class_uid: str, version_name: str | None, ae_title: str, max_pdu_bytes: int) -> ServiceUser:
    made = ServiceUser(_stand_in(class_uid), mode)
    made.ae_title, made.maximum_length = ae_title, max_pdu_bytes
    made.implementation_version_name = version_name
    return made


def _stand_in(class_uid: str) -> Any:
    """All that the constructor asks of an association."""
    return SimpleNamespace(ae=SimpleNamespace(implementation_class_uid=class_uid))


def _of(association: Any, pattern: ServiceUser) -> ServiceUser:
    """A copy for an association; its lists and items are its own, since pynetdicom's setters change them."""
    made: Any = ServiceUser.__new__(ServiceUser)
    made.__dict__.update(pattern.__dict__)
    made.assoc = association
    made._contexts, made._common_ext = [], {}
    made._user_info = [_copied(item) for item in pattern._user_info]
    made._ext_neg = {kind: [] for kind in pattern._ext_neg}
    user: ServiceUser = made
    return user


def _copied(item: Any) -> Any:
    made = object.__new__(type(item))
    made.__dict__.update(item.__dict__)
    return made

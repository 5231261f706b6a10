"""Associations that we ask for, without threads of their own (`direct`): C-MOVE's, reports', and those of our clients.

`AE.associate` copies contexts deeply, asks the resolver for addresses that are numbers, and starts two threads: 1.9 ms
of processor time and 8.8 by the clock with its release, here 0.7 and 0.7. It is the seam; its arguments are kept.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from pynetdicom import AE, evt
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from mripacs.core.settings import LARGEST_OBJECT_BYTES
from mripacs.dimse.accepting import numeric_address
from mripacs.dimse.direct import DirectAssociation

MAX_PDU_BYTES = 131072  # of what we receive, as the node's own default; pynetdicom's 16 KB cost eight reads instead
MAX_FOREIGN_PDU_BYTES = 2**24  # read from a peer that does not keep to what it was told

Handlers = Sequence[tuple[evt.EventType, Callable[..., object]]]


class DirectEntity(AE):
    """An application entity whose requested associations are `DirectAssociation`s."""

    @property
    def active_associations(self) -> list[Association]:
        """Those that its servers serve: what `shutdown` aborts. They are no threads that could be found as such."""
        return [association for server in self._servers for association in server.active_associations]

    def associate(
        self,
        addr: str,
        port: int,
        contexts: Sequence[PresentationContext] | None = None,
        ae_title: str = "ANY-SCP",
        max_pdu: int = MAX_PDU_BYTES,
        ext_neg: Sequence[Any] | None = None,
        bind_address: tuple[Any, ...] | None = None,
        tls_args: tuple[ssl.SSLContext, str] | None = None,
        evt_handlers: Handlers | None = None,
    ) -> DirectAssociation:
        """Request an association; whether it is established tells its `is_established`, as pynetdicom's does.

        The calling thread owns it: it alone may send requests and release. Raises ValueError or RuntimeError for
        contexts that cannot be asked for, OSError for a host that is not found.
        """
        asked = [copy(context) for context in contexts or self.requested_contexts]
        self._validate_requested_contexts(asked)
        if not asked:
            raise RuntimeError("no presentation context is asked for")
        for index, context in enumerate(asked):
            context.context_id = 2 * index + 1
        association = DirectAssociation(self, MODE_REQUESTOR, MAX_FOREIGN_PDU_BYTES, LARGEST_OBJECT_BYTES)
        remote = _found(addr, port)
        local = numeric_address(bind_address or (("0.0.0.0" if remote.is_ipv4 else "::"), 0))  # noqa: S104 - a client
        association.set_socket(self._create_socket(association, local, tls_args))
        association.acceptor.ae_title, association.acceptor.address_info = ae_title, remote
        requestor = association.requestor
        requestor.address_info, requestor.ae_title, requestor.maximum_length = local, self.ae_title, max_pdu
        requestor.implementation_class_uid = self.implementation_class_uid
        requestor.implementation_version_name = self.implementation_version_name
        for item in ext_neg or ():
            requestor.add_negotiation_item(item)
        requestor.requested_contexts = asked
        for event, handler in evt_handlers or ():
            association.bind(event, handler)
        association.request()
        if association.is_established:
            association.start()
        return association


def _found(host: str, port: int) -> AddressInformation:
    """The address of a host; only a name is looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return AddressInformation.from_addr_port(host, port)
    return numeric_address((host, port))

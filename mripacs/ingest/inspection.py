"""What the header of a received object says, before any pixel is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from mripacs.core.errors import ObjectTooLargeError
from mripacs.core.model import Decision, IndexAttributes, ReceivedObject
from mripacs.core.settings import LimitSettings
from mripacs.dicom import facts, index, scan, transfer_syntax
from mripacs.ingest.policy import Policy


@dataclass(frozen=True)
class Inspected:
    """Index attributes, and the policy's choice once it is asked for: 0.25 ms that no acknowledgement waits for."""

    attributes: IndexAttributes
    _choose: Callable[[], Decision]

    @cached_property
    def decision(self) -> Decision:
        """The policy's choice."""
        return self._choose()


def inspect(received: ReceivedObject, policy: Policy, limits: LimitSettings) -> Inspected:
    """Read identity and index attributes. Raises RefusedError for what the node does not take."""
    if len(received.dataset) > limits.max_object_bytes:
        raise ObjectTooLargeError(
            f"the data set has {len(received.dataset)} bytes, {limits.max_object_bytes} are allowed"
        )
    syntax = received.transfer_syntax
    index.check_uid("TransferSyntaxUID", syntax)
    plain = transfer_syntax.plain(received.dataset, syntax, limits.max_object_bytes)
    dataset_map = scan.scan(plain, syntax)
    attributes = index.index_attributes(plain, dataset_map, syntax)
    index.check_identity(attributes, received.sop_class_uid, received.sop_instance_uid)
    return Inspected(
        attributes,
        lambda: policy.decide(facts.policy_facts(plain, dataset_map, syntax, attributes, received.calling_ae)),
    )

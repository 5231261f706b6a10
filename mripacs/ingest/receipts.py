"""What became of a received object: the receipt, and the same for the log and the instruments."""

from __future__ import annotations

import logging

from mripacs.core import metrics
from mripacs.core.model import Disposition, InstanceIdentity, Receipt, ReceivedObject

log = logging.getLogger(__name__)


def receipt_of(disposition: Disposition, stored: InstanceIdentity) -> Receipt:
    """The receipt for an instance that is stored."""
    return Receipt(
        disposition,
        stored.sop_instance_uid,
        stored.original_sop_instance_uid,
        stored.certificate,
        stored.payload_bytes + stored.header_bytes,
    )


def tell(received: ReceivedObject, receipt: Receipt) -> None:
    """Count and log it."""
    tier = receipt.certificate.tier
    metrics.RECEIVED.labels(received.source, receipt.disposition, tier).inc()
    if receipt.disposition in (Disposition.STORED, Disposition.REPLACED):
        metrics.RECEIVED_BYTES.labels(tier).inc(len(received.dataset))
        metrics.STORED_BYTES.labels(tier).inc(receipt.stored_bytes)
    log.info(
        "%s %s as %s, %s (%s): %d bytes in, %d kept",
        receipt.disposition,
        receipt.original_sop_instance_uid,
        receipt.sop_instance_uid,
        tier,
        receipt.certificate.rule,
        len(received.dataset),
        receipt.stored_bytes,
    )

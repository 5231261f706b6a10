"""What an instance's header says as the DICOM JSON model, without reading or decoding its pixels."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mripacs.core.errors import RefusedError, TranscodeError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, StoredHeader
from mripacs.dicom import json_model, rebuild, references, scan, transfer_syntax
from mripacs.dicom.bulk import bulk_value
from mripacs.dicom.json_model import Model
from mripacs.dicom.transcode import MAX_INFLATED_BYTES
from mripacs.retrieve.rebuild import rebuild_instance
from mripacs.store import Store

BulkUri = Callable[[InstanceIdentity, str], str]  # instance and path of an element -> its URI


@dataclass(frozen=True, slots=True)
class Metadata:
    """Reads headers from one store. Thread-safe."""

    store: Store
    rewrite_references: bool

    def models(self, uids: Collection[str], bulk_uri: BulkUri) -> list[tuple[InstanceIdentity, Model]]:
        """Identity and model of the instances served under the UIDs, in their order, by one statement.

        A model says what the instance says when it leaves: lossy marks, derived UID, rewritten references.
        Raises DamagedInstanceError, TranscodeError.
        """
        return [(stored.identity, self._model(stored, bulk_uri)) for stored in self.store.load_headers(list(uids))]

    def bulk(self, uid: str, path: str) -> bytes:
        """The value of an element of the instance, by its path; not for Pixel Data, which `Images` decodes.

        Raises UnknownInstanceError, DamagedInstanceError, TranscodeError.
        """
        identity = self.store.identify(uid)
        found = self.store.load_headers([identity.sop_instance_uid]) if identity else []
        if not found:
            raise UnknownInstanceError(f"no instance {uid} is stored")
        dataset, syntax = self._leaving_header(found[0])
        try:
            return bulk_value(dataset, scan.scan(dataset, syntax), path)
        except RefusedError as error:
            raise TranscodeError(f"{uid}: the header cannot be understood: {error}") from error

    def _model(self, stored: StoredHeader, bulk_uri: BulkUri) -> Model:
        identity = stored.identity
        dataset, syntax = self._leaving_header(stored)
        if self.rewrite_references:
            dataset = references.rewrite_references(dataset, syntax, self.store.aliases)
        try:
            dataset_map = scan.scan(dataset, syntax)
            return json_model.to_json_model(dataset, dataset_map, lambda path: bulk_uri(identity, path))
        except RefusedError as error:
            raise TranscodeError(f"{identity.sop_instance_uid}: the header cannot be understood: {error}") from error

    def _leaving_header(self, stored: StoredHeader) -> tuple[bytes, str]:
        """The data set as it leaves, its native pixels zeros or empty, and its transfer syntax; never deflated."""
        identity, offset = stored.identity, stored.pixel_offset
        certificate, syntax = identity.certificate, identity.transfer_syntax
        if offset is None:
            return transfer_syntax.plain(stored.header, syntax, MAX_INFLATED_BYTES), syntax
        if certificate.restores_received:
            return rebuild.filled(stored.header, offset, syntax, certificate.received_pixel_bytes), syntax
        if certificate.lossy and certificate.decoded_range is None:  # stored by version 0.1: its pixels must tell
            outgoing = rebuild_instance(self.store.load(identity.sop_instance_uid))
            return outgoing.dataset, outgoing.transfer_syntax
        header = rebuild.derived_header(
            stored.header,
            offset,
            syntax,
            certificate,
            payload_bytes=identity.marked_bytes,
            sop_instance_uid=identity.sop_instance_uid,
            original_sop_instance_uid=identity.original_sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
        )
        return header, transfer_syntax.EXPLICIT_VR_LITTLE_ENDIAN

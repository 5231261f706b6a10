"""Preview models and the previews that they made.

All nodes of a database use the model that is active in it; a unique index lets there be one at most. A model's number
is its version. Previews of an earlier model stay until the active one has made theirs anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from mripacs.core.errors import DamagedInstanceError, ModelError
from mripacs.core.model import ModelState, ModelSummary, ReceivedFrom, StoredPreview
from mripacs.store import schema
from mripacs.store.writing import now, write_event

Transaction = Callable[[], AbstractContextManager[Connection]]
_model, _preview, _instance = schema.model.c, schema.preview.c, schema.instance.c
_SUMMARY = (
    _model.id, _model.name, _model.digest, _model.state, _model.card, _model.created_at, _model.activated_at,
    func.length(_model.data).label("bytes"),
    select(func.count()).where(_preview.model_id == _model.id).scalar_subquery().label("previews"),
)  # fmt: skip


class PreviewModels:
    """Models and previews of one database. Every method is one transaction and raises StoreError and its leaves."""

    def __init__(self, reading: Transaction, writing: Transaction) -> None:
        self._reading = reading
        self._writing = writing

    def add_model(self, name: str, digest: str, card: Mapping[str, Any], data: bytes) -> int:
        """Keep a model and give its version; the same tensors have the version that they had."""
        values = {"name": name, "digest": digest, "card": dict(card), "data": data}
        try:
            with self._writing() as connection:
                known = connection.execute(select(_model.id).where(_model.digest == digest)).scalar()
                if known is not None:
                    return int(known)
                added = insert(schema.model).values(**values, state=ModelState.READY, created_at=now())
                version = int(connection.execute(added.returning(_model.id)).scalar_one())
                _event(connection, version, "added", digest)
                return version
        except IntegrityError:  # another node was faster
            with self._reading() as connection:
                return int(connection.execute(select(_model.id).where(_model.digest == digest)).scalar_one())

    def list_models(self) -> list[ModelSummary]:
        """All models, by version."""
        with self._reading() as connection:
            return [_summary(row) for row in connection.execute(select(*_SUMMARY).order_by(_model.id))]

    def model(self, version: int) -> ModelSummary:
        """The model of a version. Raises ModelError when there is none."""
        with self._reading() as connection:
            row = connection.execute(select(*_SUMMARY).where(_model.id == version)).first()
        if row is None:
            raise ModelError(f"no preview model of version {version} is in this archive")
        return _summary(row)

    def model_data(self, version: int) -> bytes:
        """The file of a model. Raises ModelError when there is none."""
        with self._reading() as connection:
            data = connection.execute(select(_model.data).where(_model.id == version)).scalar()
        if data is None:
            raise ModelError(f"no preview model of version {version} is in this archive")
        return bytes(data)

    def active_version(self) -> int | None:
        """The version of the active model; None when there is none."""
        with self._reading() as connection:
            found = connection.execute(select(_model.id).where(_model.state == ModelState.ACTIVE)).scalar()
        return None if found is None else int(found)

    def activate(self, version: int, *, unless_another: bool = False) -> int:
        """Make a model the active one of all nodes, and give the version that is active then.

        unless_another : leave an active one in its place. Raises ModelError for an unknown or retired model.
        """
        try:
            with self._writing() as connection:
                return _activate(connection, version, unless_another)
        except IntegrityError:  # another node activated one at the same moment: the last to ask wins
            with self._writing() as connection:
                return _activate(connection, version, unless_another)

    def retire(self, version: int) -> None:
        """Never let a model be activated again. Raises ModelError for an unknown one, and for the active one."""
        with self._writing() as connection:
            state = _state(connection, version)
            if state == ModelState.ACTIVE:
                raise ModelError(f"model {version} is active: activate another one first")
            connection.execute(update(schema.model).where(_model.id == version).values(state=ModelState.RETIRED))
            _event(connection, version, "retired", "")

    def save_preview(self, uid: str, version: int, data: bytes) -> bool:
        """Keep an instance's preview in place of an earlier one; False when the instance has gone meanwhile."""
        values = {"model_id": version, "data": data, "digest": hashlib.sha256(data).digest(), "made_at": now()}
        try:
            with self._writing() as connection:
                found = connection.execute(select(_instance.id).where(_instance.sop_instance_uid == uid)).scalar()
                if found is None:
                    return False
                connection.execute(delete(schema.preview).where(_preview.instance_id == found))
                connection.execute(insert(schema.preview).values(instance_id=found, **values))
                return True
        except IntegrityError:  # deleted, or made by another node, at this moment
            return False

    def version_of(self, uid: str) -> int | None:
        """The model that made the preview of the instance served under `uid`; None when there is none."""
        join = schema.preview.join(schema.instance, _preview.instance_id == _instance.id)
        wanted = select(_preview.model_id).select_from(join).where(_instance.sop_instance_uid == uid)
        with self._reading() as connection:
            found = connection.execute(wanted).scalar()
        return None if found is None else int(found)

    def modality_of(self, uid: str) -> str | None:
        """The modality of the series of the instance served under `uid`."""
        join = schema.instance.join(schema.series, schema.series.c.id == _instance.series_id)
        wanted = select(schema.series.c.modality).select_from(join).where(_instance.sop_instance_uid == uid)
        with self._reading() as connection:
            return connection.execute(wanted).scalar()

    def preview(self, uid: str) -> StoredPreview | None:
        """The preview of the instance served or received under `uid`; None when none was made (yet).

        Raises DamagedInstanceError when it does not match its digest.
        """
        named = select(schema.instance_uid.c.instance_id).where(schema.instance_uid.c.uid == uid).scalar_subquery()
        wanted = select(_instance.sop_instance_uid, schema.preview).where(
            _preview.instance_id == _instance.id, _instance.id == named, _instance.state == schema.STORED
        )
        with self._reading() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return None
        if hashlib.sha256(row.data).digest() != bytes(row.digest):
            raise DamagedInstanceError(f"{uid}: the preview is not the one that was made")
        return StoredPreview(row.sop_instance_uid, row.model_id, bytes(row.data), row.made_at)

    def shown(self, uids: Sequence[str]) -> frozenset[str]:
        """Those of the instances served under these UIDs that have a preview with something to show."""
        join = schema.preview.join(schema.instance, _preview.instance_id == _instance.id)
        wanted = (
            select(_instance.sop_instance_uid)
            .select_from(join)
            .where(
                _instance.sop_instance_uid.in_(uids), _instance.state == schema.STORED, func.length(_preview.data) > 0
            )
        )
        with self._reading() as connection:
            return frozenset(connection.execute(wanted).scalars())

    def lacking(self, version: int, modalities: tuple[str, ...], after: int, count: int) -> list[tuple[int, str]]:
        """Row numbers above `after` and UIDs of up to `count` instances without a preview by that model, in order."""
        join = schema.instance.join(schema.series, schema.series.c.id == _instance.series_id)
        join = join.outerjoin(schema.preview, _preview.instance_id == _instance.id)
        wanted: list[ColumnElement[bool]] = [
            _instance.id > after,
            _instance.state == schema.STORED,
            or_(_preview.model_id.is_(None), _preview.model_id != version),
        ]
        if modalities:
            wanted.append(schema.series.c.modality.in_(modalities))
        statement = (
            select(_instance.id, _instance.sop_instance_uid).select_from(join).where(*wanted).order_by(_instance.id)
        )
        with self._reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(statement.limit(count))]


def _activate(connection: Connection, version: int, unless_another: bool) -> int:
    active = connection.execute(select(_model.id).where(_model.state == ModelState.ACTIVE)).scalar()
    if active is not None and (unless_another or active == version):
        return int(active)
    if _state(connection, version) == ModelState.RETIRED:
        raise ModelError(f"model {version} is retired: import or train another one")
    connection.execute(update(schema.model).where(_model.state == ModelState.ACTIVE).values(state=ModelState.READY))
    activated = {"state": ModelState.ACTIVE, "activated_at": now()}
    connection.execute(update(schema.model).where(_model.id == version).values(activated))
    _event(connection, version, "activated", "" if active is None else f"in place of {active}")
    return version


def _state(connection: Connection, version: int) -> str:
    state = connection.execute(select(_model.state).where(_model.id == version)).scalar()
    if state is None:
        raise ModelError(f"no preview model of version {version} is in this archive")
    return str(state)


def _event(connection: Connection, version: int, outcome: str, detail: str) -> None:
    write_event(connection, "model", ReceivedFrom("admin"), str(version), outcome, detail)


def _summary(row: Any) -> ModelSummary:
    return ModelSummary(
        version=row.id,
        name=row.name,
        digest=row.digest,
        state=ModelState(row.state),
        card=row.card,
        bytes=row.bytes,
        previews=row.previews,
        created_at=row.created_at,
        activated_at=row.activated_at,
    )

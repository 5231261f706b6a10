"""Deletions by a command on this machine, told to syslog as the node tells what it does.

The store has its events in the deletion's own transaction; this is the audit message (PS3.15 A.5.3) beside them.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable

from mripacs.audit.message import AuditEvent, AuditRecord, Outcome, Participant, StudyContent, to_xml
from mripacs.audit.syslog import APPLICATION, syslog_of
from mripacs.core.errors import SettingsError
from mripacs.core.model import Deletion, InstanceIdentity
from mripacs.core.settings import Settings

log = logging.getLogger(__name__)


def tell_deletion(settings: Settings, before: Iterable[InstanceIdentity], deletion: Deletion, user: str) -> None:
    """Send one message for each study that lost instances; where it cannot be sent, the log says so.

    before : the selected instances as they were. user : who deleted.
    """
    gone = frozenset(deletion.sop_instance_uids)
    who = Participant("", socket.gethostname(), user)
    try:
        syslog = syslog_of(settings.log, settings.dimse.tls)
        if syslog is None:
            return
        for study_uid, content in _by_study(identity for identity in before if identity.sop_instance_uid in gone):
            event = AuditEvent.STUDY_DELETED if deletion.studies else AuditEvent.INSTANCES_DELETED
            syslog.send(to_xml(AuditRecord(event, Outcome.SUCCESS, who, who, who, {study_uid: content}), APPLICATION))
        syslog.close()
    except (OSError, SettingsError) as error:
        log.error("the audit message of a deletion was not sent: %s", error)


def _by_study(identities: Iterable[InstanceIdentity]) -> list[tuple[str, StudyContent]]:
    studies: dict[str, StudyContent] = {}
    for identity in identities:
        content = studies.setdefault(identity.study_instance_uid, StudyContent())
        content.instances.setdefault(identity.sop_class_uid, []).append(identity.sop_instance_uid)
    return list(studies.items())

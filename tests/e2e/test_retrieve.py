"""C-MOVE and C-GET where something stands in the way: no such destination, refusals, cancels, no fitting syntax."""

from __future__ import annotations

import threading

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, MRImageStorage
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.e2e import dcmtk
from tests.e2e.conftest import running
from tests.e2e.dcmtk import free_port
from tests.e2e.findscu import findscu
from tests.e2e.objects import mr_object, written

PENDING, CANCELLED = 0xFF00, 0xFE00
WITH_FAILURES, UNKNOWN_DESTINATION = 0xB000, 0xA801
COUNT = 12


class Destination:
    """An application entity that answers C-STORE as it is told, for a node to move to."""

    def __init__(self):
        self.port = free_port()
        self.answer = lambda _number: 0x0000
        self.received = []
        entity = AE(ae_title="PICKY")
        entity.add_supported_context(MRImageStorage)
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event):
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        return self.answer(len(self.received))


@pytest.fixture(scope="module")
def destination():
    """The destination PICKY."""
    made = Destination()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def study(tmp_path_factory, destination):
    """A node that knows PICKY, and a study of twelve instances in it."""
    folder = tmp_path_factory.mktemp("retrieve")
    config = f'[dimse.destinations.PICKY]\nhost = "127.0.0.1"\nport = {destination.port}\n'
    config += f'[dimse.destinations.NOBODY]\nhost = "127.0.0.1"\nport = {free_port()}\n'
    first = mr_object()
    same = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    files = [written(mr_object(InstanceNumber=n, **same), folder / f"{n}.dcm") for n in range(1, COUNT + 1)]
    with running(folder / "node", config=config) as node:
        node.sent.extend(files)
        dcmtk.storescu(node.port, files)
        yield node, str(first.StudyInstanceUID)


@pytest.fixture
def move(study, destination):
    """`move(title)` gives the statuses of a C-MOVE of the study and their identifiers; `cancel_at` cancels then."""
    destination.received.clear()
    destination.answer = lambda _number: 0x0000
    node, uid = study
    return lambda title, cancel_at=None: responses(
        node.port, StudyRootQueryRetrieveInformationModelMove, uid, "send_c_move", (title,), cancel_at
    )


def responses(port, model, uid, method, arguments=(), cancel_at=None, contexts=(), roles=()):
    """Every response to a retrieve of a study, with its identifier."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = uid
    association = AE().associate(
        "127.0.0.1",
        port,
        contexts=[build_context(model), *contexts],
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)],
    )
    assert association.is_established
    try:
        found = []
        for response in getattr(association, method)(identifier, *arguments, model):
            found.append(response)
            if len(found) == cancel_at:
                association.send_c_cancel(1, query_model=model)
        return found
    finally:
        association.release()


def counts(status):
    return [
        int(status.get(f"NumberOf{kind}Suboperations", 0) or 0)
        for kind in ("Remaining", "Completed", "Failed", "Warning")
    ]


def test_progress_is_counted(move, destination):
    found = move("PICKY")
    assert [status.Status for status, _ in found] == [PENDING] * COUNT + [0x0000]
    assert [counts(status)[:2] for status, _ in found[:-1]] == [[COUNT - n, n] for n in range(1, COUNT + 1)]
    assert counts(found[-1][0])[1:] == [COUNT, 0, 0]
    assert len(set(destination.received)) == COUNT


def test_unknown_destination(study, move):
    (status, _), *more = move("NOWHERE")
    assert (status.Status, more) == (UNKNOWN_DESTINATION, [])
    output = dcmtk.movescu(study[0].port, "NOWHERE", "STUDY", StudyInstanceUID=study[1], ok=range(1, 256))
    assert "MoveDestinationUnknown" in output


def test_destination_that_nobody_answers(move):
    (status, _), *more = move("NOBODY")
    assert more == []
    assert status.Status in (UNKNOWN_DESTINATION, 0xA702)


def test_refused_instances_are_listed(move, destination):
    destination.answer = lambda number: 0xA700 if number % 3 == 0 else 0x0000
    status, identifier = move("PICKY")[-1]
    assert status.Status == WITH_FAILURES
    assert counts(status)[1:] == [COUNT - COUNT // 3, COUNT // 3, 0]
    assert list(identifier.FailedSOPInstanceUIDList) == destination.received[2::3]


def test_cancelled_by_the_peer(move, destination):
    """A cancel ends the move after the sub-operations under way (PS3.4 C.4.2.2.1)."""
    gate = threading.Event()
    destination.answer = lambda number: 0x0000 if number < 4 or gate.wait(20) else 0xA700
    threading.Timer(1.0, gate.set).start()  # the fourth object is held until the cancel is on its way
    status, _ = move("PICKY", cancel_at=3)[-1]
    assert status.Status == CANCELLED
    remaining, completed, failed, _ = counts(status)
    assert remaining > 0
    assert (completed, failed) == (len(destination.received), 0)
    assert remaining + completed == COUNT


@pytest.mark.parametrize("keys", [{}, {"StudyInstanceUID": "not-a-uid"}], ids=["no UID", "malformed UID"])
def test_malformed_identifiers_never_reach_the_destination(study, move, destination, keys):
    output = dcmtk.movescu(study[0].port, "PICKY", "STUDY", "-d", ok=range(256), **keys)
    assert "0xa900" in output
    assert destination.received == []


def get(study, contexts, roles):
    node, uid = study
    return responses(node.port, StudyRootQueryRetrieveInformationModelGet, uid, "send_c_get", (), None, contexts, roles)


def test_get_without_a_fitting_syntax(study):
    """MR is accepted as JPEG only: each instance fails, by its UID, and the peer gets no image that it cannot read."""
    status, identifier = get(
        study, [build_context(MRImageStorage, JPEGBaseline8Bit)], [build_role(MRImageStorage, scp_role=True)]
    )[-1]
    assert status.Status == 0xA702
    assert counts(status)[1:] == [0, COUNT, 0]
    of_study = findscu(study[0].port, "IMAGE", StudyInstanceUID=study[1], SOPInstanceUID="")
    assert sorted(identifier.FailedSOPInstanceUIDList) == of_study.values("SOPInstanceUID")


def test_get_what_is_not_there(study, tmp_path):
    output = dcmtk.getscu(study[0].port, tmp_path, "STUDY", StudyInstanceUID="1.2.3.4", ok=range(256))
    assert "Received C-GET Response (Success)" in output
    assert list(tmp_path.iterdir()) == []


def test_echo_and_dcmsend(study, tmp_path):
    node, _ = study
    dcmtk.run("echoscu", "-aec", "MRIPACS", "127.0.0.1", node.port)
    made = mr_object()
    file = written(made, tmp_path / "one.dcm", ExplicitVRLittleEndian)
    node.sent.append(file)
    dcmtk.run("dcmsend", "-aec", "MRIPACS", "127.0.0.1", node.port, file)
    assert str(dcmread(file).SOPInstanceUID) in node.certificates()

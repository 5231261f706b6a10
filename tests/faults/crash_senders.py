"""Senders of a crash test: our own associations and DCMTK's storescu, kept with and without loss."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from mripacs.cli.crash.trial import send_with_own_association
from mripacs.core.model import Outgoing
from mripacs.dicom.part10 import write_part10
from tests.e2e.dcmtk import ENVIRONMENT
from tests.real_parts import program

SENDING = re.compile(r"Sending file: .*/([0-9.]+)\.dcm")
ANSWER = re.compile(r"Received Store Response \((?:Success|.*0x([0-9A-Fa-f]{4}).*|(.*))\)")


sent_as_they_are = set()  # UIDs; DCMTK writes some headers anew


def own(title):
    """An association of ours that calls itself `title`."""

    def send(peer, samples, ledger):
        sent_as_they_are.update(sample.sop_instance_uid for sample in samples)
        send_with_own_association(replace(peer, calling_ae=title), samples, ledger)

    return send


def storescu(title):
    """DCMTK's storescu, one association, its verbose output read as it comes."""

    def send(peer, samples, ledger):
        with tempfile.TemporaryDirectory(prefix="storescu-") as folder:
            for sample in samples:
                item = sample.received()
                outgoing = Outgoing(item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax, item.dataset)
                (Path(folder) / f"{item.sop_instance_uid}.dcm").write_bytes(write_part10(outgoing))
            _run(["-v", "+sd", "-aet", title, "-aec", peer.ae_title, peer.host, str(peer.port), folder], ledger)

    return send


def _run(arguments, ledger):
    command = [str(program("storescu")), *arguments]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        uid = None
        for line in process.stdout:
            if match := SENDING.search(line):
                uid = match.group(1)
            elif match := ANSWER.search(line):
                accepted = "(Success)" in line
                ledger.answer(
                    uid, 0 if accepted else int(match.group(1) or "C000", 16), line.strip(), accepted=accepted
                )

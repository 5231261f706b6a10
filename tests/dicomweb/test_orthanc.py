"""Orthanc as a second server: the same files in both give the same studies, series, instances and metadata.

Where the metadata differ, a rule below says why; anything else is a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mripacs.cli.web_peers import PLUGIN, ROOT, OrthancServer, OurServer, connection, get, post
from tests import real_parts
from tests.dicomweb.conftest import LOSSLESS, settings_of


@pytest.fixture(scope="module")
def both(tmp_path_factory, filled, require_program) -> Iterator[dict]:
    """A connection to each, both holding the same files, ours without loss."""
    require_program("Orthanc")
    if not PLUGIN.exists():
        real_parts.lacking("orthanc-dicomweb", "`bash .ci/run` installs it on Debian")
    folder = tmp_path_factory.mktemp("both")
    servers = [OurServer(settings_of(folder / "archive", LOSSLESS)), OrthancServer(folder / "orthanc")]
    with ExitStack() as stack:
        open_servers = [stack.enter_context(server) for server in servers]
        found = {server.name: stack.enter_context(connection(server.port)) for server in open_servers}
        for path in filled.files.values():
            for asked in found.values():
                post(asked, f"{ROOT}/studies", path.read_bytes())
        yield found


def rows(asked, path):
    return json.loads(get(asked, f"{ROOT}{path}"))


@pytest.mark.parametrize(
    ("path", "tag"), [("/studies", "0020000D"), ("/series", "0020000E"), ("/instances?limit=5000", "00080018")]
)
def test_the_same_sets(both, path, tag):
    ours, theirs = ({row[tag]["Value"][0] for row in rows(both[name], path)} for name in ("mripacs", "Orthanc"))
    assert ours == theirs
    assert len(ours) >= 3


@pytest.mark.parametrize(
    "query", ["PatientID=*1*", "StudyDate=20000101-20101231", "ModalitiesInStudy=MR", "PatientName=*a*"]
)
def test_the_same_matches(both, query):
    ours, theirs = (
        {row["0020000D"]["Value"][0] for row in rows(both[name], f"/studies?{query}")}
        for name in ("mripacs", "Orthanc")
    )
    assert ours == theirs


def test_the_same_metadata(both, filled):
    compared = 0
    for study in {row["0020000D"]["Value"][0] for row in rows(both["mripacs"], "/studies")}:
        ours, theirs = (
            {one["00080018"]["Value"][0]: one for one in rows(both[name], f"/studies/{study}/metadata")}
            for name in ("mripacs", "Orthanc")
        )
        assert set(ours) == set(theirs)
        for uid, model in ours.items():
            assert list(differences(model, theirs[uid])) == []
            compared += len(model)
    assert compared > 1000


def differences(ours, theirs, path=""):
    """Elements that are told in another way than a rule explains."""
    for tag in sorted(set(ours) | set(theirs)):
        where = f"{path}{tag}"
        if is_explained(tag, ours.get(tag), theirs.get(tag)):
            continue
        if tag not in ours or tag not in theirs:
            yield where, "only in " + ("ours" if tag in ours else "theirs"), ours.get(tag) or theirs.get(tag)
        elif ours[tag]["vr"] == theirs[tag]["vr"] == "SQ":
            pairs = zip(ours[tag].get("Value", []), theirs[tag].get("Value", []), strict=True)
            for number, (one, other) in enumerate(pairs):
                yield from differences(one, other, f"{where}/{number}/")
        elif comparable(ours[tag]) != comparable(theirs[tag]):
            yield where, ours[tag], theirs[tag]


def is_explained(tag, ours, theirs):
    if tag == "00080005":
        return True  # both convert to UTF-8; Orthanc repeats the object's own character set or adds one
    if tag.endswith("0000"):
        return True  # group lengths: retired, left out by us
    if theirs is not None and tag.startswith("0002"):
        return True  # file meta information is no part of the data set (PS3.18 F)
    if "BulkDataURI" in (ours or {}) or "BulkDataURI" in (theirs or {}):
        return True  # Orthanc gives every binary value a URI, we put those to 1 KiB in line
    private = int(tag[:4], 16) % 2
    if private and "UN" in {(ours or theirs)["vr"], (theirs or ours)["vr"]}:
        return True  # DCMTK's private dictionary guesses VRs that implicit VR does not carry; we claim none
    return tag == "7FE00010"


def comparable(element):
    values = [comparable_value(value) for value in element.get("Value", [])]
    while values and values[-1] in (None, ""):
        values.pop()
    return values, element.get("InlineBinary")


def comparable_value(value):
    if isinstance(value, dict):
        return {group: text.rstrip("^ ") for group, text in value.items()}
    try:
        return round(float(value), 12) + 0.0  # DS, IS: as number or text; Orthanc makes 0 of -1e-16
    except (TypeError, ValueError):
        return (value or "").strip()

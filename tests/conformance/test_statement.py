"""The conformance statement against the running code: what it says is so, and what is so it says."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from starlette.routing import Route

import mripacs
from mripacs.conformance import FORMATS, statement
from mripacs.conformance.document import Document, Section, Table, to_html, to_markdown
from mripacs.core.errors import MripacsError, RefusedError, StoreError
from mripacs.core.model import Level
from mripacs.core.settings import SECTIONS, load_settings
from mripacs.dicomweb.app import build
from mripacs.dimse import DicomServer, client
from mripacs.dimse.capabilities import errors_below
from mripacs.retrieve.matching import CONTROL_KEYWORDS, parse_query
from mripacs.store.keys import COMPUTED, KEYS
from tests.cli.conftest import mripacs as mripacs_command
from tests.e2e.objects import encoded, mr_object
from tests.e2e.raw_association import RawAssociation, RejectedError

__all__ = ["mripacs_command"]  # a fixture of others

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
JPIP = "1.2.840.10008.1.2.4.94"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
CONTEXTS = 100  # of the 128 of an association


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    flags = {"archive": {"directory": tmp_path_factory.mktemp("archive")}, "dimse": {"port": 0}}
    with mripacs.Archive.open(settings=load_settings(flags=flags, environment={})) as opened:
        opened.store(encoded(mr_object()))
        yield opened


@pytest.fixture(scope="module")
def port(archive):
    server = DicomServer(archive)
    server.start()
    yield server.port
    server.stop()


@pytest.fixture(scope="module")
def document(archive) -> Document:
    return statement(archive.settings)


def accepted(port: int, proposals: list[tuple[str, list[str]]]) -> set[tuple[str, str]]:
    """Of proposed contexts, SOP class and transfer syntax of each that a node accepts."""
    found = set()
    for start in range(0, len(proposals), CONTEXTS):
        contexts = [build_context(uid, syntaxes) for uid, syntaxes in proposals[start : start + CONTEXTS]]
        association = AE().associate("127.0.0.1", port, contexts=contexts)
        found |= {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts}
        if association.is_established:
            association.release()
    return found


def test_every_class_it_lists_is_accepted_and_no_other(document, port):
    syntax = "1.2.840.10008.1.2.1"
    classes = [
        row[1] for name in ("Network Services", "Storage SOP Classes") for row in document.table(name).rows if row[3]
    ]
    assert len(classes) > 170
    taken = accepted(port, [(uid, [syntax]) for uid in [*classes, WORKLIST]])
    assert {uid for uid, _ in taken} == set(classes)


def test_the_transfer_syntaxes_of_storage_are_those_accepted(document, port):
    listed = [row[1] for row in document.table("Transfer Syntaxes of Storage").rows]
    assert accepted(port, [(MR_IMAGE, [uid]) for uid in [*listed, JPIP]]) == {(MR_IMAGE, uid) for uid in listed}


def test_the_transfer_syntaxes_of_queries_are_those_accepted(document, port):
    listed = [row[1] for row in document.table("Transfer Syntaxes of other services, preferred first").rows]
    proposals = [(STUDY_FIND, [uid]) for uid in [*listed, "1.2.840.10008.1.2.4.90"]]
    assert accepted(port, proposals) == {(STUDY_FIND, uid) for uid in listed}


def test_what_the_client_asks_for_is_listed_as_scu(document):
    listed = {row[1] for row in document.table("Network Services").rows if row[2]}
    asked = {
        str(getattr(client, name))
        for name in vars(client)
        if name.startswith(("StudyRoot", "PatientRoot", "Verification"))
    }
    assert listed == asked


def c_find_statuses(port: int, level: str, keywords: list[str]) -> set[int]:
    """The pending statuses of a C-FIND that asks for everything by these keys."""
    request = Dataset()
    request.QueryRetrieveLevel = level
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        request.add(DataElement(tag, dictionary_VR(tag).partition(" ")[0], None))
    association = AE().associate("127.0.0.1", port, contexts=[build_context(STUDY_FIND)])
    try:
        return {status.Status for status, _ in association.send_c_find(request, STUDY_FIND)} - {0x0000}
    finally:
        association.release()


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_matching_attributes_are_those_that_queries_support(level, document, port):
    names = ("Matching Attributes", "Computed Attributes, returned only")
    listed = [row[1] for name in names for row in document.table(name).rows if row[0] == level]
    assert c_find_statuses(port, level, listed) == {0xFF00}
    assert c_find_statuses(port, level, [*listed, "PatientMotherBirthName"]) == {0xFF01}


def test_no_matching_attribute_is_left_out(document):
    names = ("Matching Attributes", "Computed Attributes, returned only")
    assert {row[1] for name in names for row in document.table(name).rows} == (
        set(KEYS) | set(COMPUTED)
    ) - CONTROL_KEYWORDS


def test_a_kind_of_matching_is_listed_exactly_where_it_parses(document):
    for level, keyword, _, _, words in document.table("Matching Attributes").rows:
        query = parse_query(Level(level), {keyword: "20200101*" if "wildcard" in words else ""})
        assert [match.kind for match in query.matches] == (["wildcard"] if "wildcard" in words else [])


@pytest.mark.parametrize("error", [*errors_below(RefusedError, StoreError), KeyError])
def test_each_status_of_c_store_is_listed(error, document, port, archive, monkeypatch):
    def store(_):
        raise error("made by a test")

    monkeypatch.setattr(archive, "accept", store)
    dataset = mr_object()
    association = AE().associate("127.0.0.1", port, contexts=[build_context(MR_IMAGE, "1.2.840.10008.1.2.1")])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    status = association.send_c_store(dataset).Status
    association.release()
    assert status != 0
    assert f"{status:04X}" in {row[0] for row in document.table("Statuses of C-STORE").rows}


def test_statuses_are_the_error_trees(document):
    """A class whose status changes, or a new leaf, changes the table."""
    rows = document.table("Statuses of C-STORE").rows
    assert {f"{error.dimse_status:04X}" for error in errors_below(RefusedError, StoreError)} <= {row[0] for row in rows}
    assert len(rows) == 2 + len(list(errors_below(RefusedError, StoreError)))


def test_every_error_of_the_tree_says_what_it_means():
    for error in errors_below(MripacsError):
        assert error.__doc__, error


def test_a_rejection_is_one_of_those_listed(document, archive):
    settings = archive.settings.dimse.model_copy(update={"calling_ae_titles": ("NOBODY",)})
    with_list = archive.settings.model_copy(update={"dimse": settings})
    server = DicomServer(_with(archive, with_list))
    server.start()
    try:
        with pytest.raises(RejectedError) as rejected:
            RawAssociation(server.port, [(MR_IMAGE, ImplicitVRLittleEndian)])
        assert rejected.value.args in {row[1:] for row in document.table("Association Rejection").rows}
    finally:
        server.stop()
    assert document.table("Who may associate").rows[1] == ("Calling titles", "any")
    assert statement(with_list).table("Who may associate").rows[1] == ("Calling titles", "NOBODY")


def _with(archive, settings):
    other = object.__new__(type(archive))
    vars(other).update(vars(archive) | {"settings": settings})
    return other


@pytest.mark.parametrize("identity", ["derive", "keep"])
def test_lossy_results_differ_in_the_attributes_listed_and_no_other(identity, tmp_path):
    flags = {"archive": {"directory": tmp_path, "identity": identity}}
    settings = load_settings(flags=flags, environment={})
    sent = mr_object(SmallestImagePixelValue=100, LargestImagePixelValue=1900)
    with mripacs.Archive.open(settings=settings) as archive:
        archive.store(encoded(sent))
        fetched = archive.fetch(sent.SOPInstanceUID)
    marks = statement(settings).table("Attributes of lossy results")
    listed = " ".join(row[1] for row in marks.rows)
    changed = {
        element.tag
        for dataset in (sent, fetched)
        for element in dataset
        if sent.get(element.tag) != fetched.get(element.tag) and element.keyword != "PixelData"
    }
    assert len(changed) >= 5
    for tag in changed:
        assert f"({tag.group:04X},{tag.element:04X})" in listed, tag
    methods = {row[0] for row in statement(settings).table("Lossy Image Compression Methods").rows}
    assert fetched.LossyImageCompressionMethod in methods
    assert (fetched.SOPInstanceUID == sent.SOPInstanceUID) is (identity == "keep")
    assert ("that of the original" in marks.rows[0]) is (identity == "keep")


def test_rules_are_those_in_force():
    rule = {"name": "phantoms first", "keep": "lossless", "when": {"series_description": ["*phantom*"]}}
    settings = load_settings(flags={"policy": {"rules": [rule], "rel_error": 0.02}}, environment={})
    rows = statement(settings).table("Rules in force, in order").rows
    assert rows[0][:2] == ("phantoms first", "lossless")
    assert "rel_error=0.02" in {row[2] for row in rows}


def test_every_setting_is_listed_and_no_secret_shown():
    url = "postgresql://mripacs:hush-hush@db/mripacs"
    settings = load_settings(flags={"archive": {"database_url": url}}, environment={})
    document = statement(settings)
    keys = {row[0] for row in document.table("Settings in force").rows}
    for table, model in SECTIONS.items():
        for key in model.model_fields:
            assert any(listed == f"{table}.{key}" or listed.startswith(f"{table}.{key}.") for listed in keys), key
    for form in FORMATS.values():
        assert "hush-hush" not in form(document)


def test_the_web_services_listed_are_the_routes_of_the_door(archive):
    for deleting in (False, True):
        web_settings = archive.settings.web.model_copy(update={"allow_delete": deleting})
        settings = archive.settings.model_copy(update={"web": web_settings})
        listed = {(row[0], row[1]) for row in statement(settings).table("DICOMweb Services").rows}
        routed = {
            (method, re.sub(r":\w+}", "}", route.path))
            for route in build(archive, settings).routes
            if isinstance(route, Route) and route.path.startswith("/dicom-web/")
            for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
        }
        described = {("GET", "/dicom-web/openapi.json"), ("GET", "/dicom-web/")}  # by themselves
        assert routed - described == listed


def test_a_door_that_is_shut_is_not_described(archive):
    shut = archive.settings.web.model_copy(update={"enabled": False})
    document = statement(archive.settings.model_copy(update={"web": shut}))
    with pytest.raises(KeyError):
        document.table("DICOMweb Services")


# --- forms ---------------------------------------------------------------------------------------------------------


def test_rows_fit_their_columns(document):
    for _, section in document.numbered():
        for table in section.tables:
            assert {len(row) for row in table.rows} <= {len(table.columns)}, table.title
            assert table.rows, table.title


HOSTILE = Document("a <b>", (Section("s", ("<script>",), (Table("t|", ("a|b",), (("<i>|\n",),)),)),))


def test_markdown_escapes_what_ends_a_cell():
    assert "| <i>\\|  |" in to_markdown(HOSTILE)


def test_html_escapes_everything():
    text = to_html(HOSTILE)
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;" in text


class Links(HTMLParser):
    """Anchors and their targets."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.targets |= {values["href"].removeprefix("#")} if tag == "a" else set()
        self.ids |= {values["id"]} if "id" in values else set()


def test_the_table_of_contents_leads_to_every_section(document):
    links = Links()
    links.feed(to_html(document))
    assert links.targets == links.ids
    assert len(links.ids) == len(list(document.numbered()))


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_writes_every_form(form, tmp_path, mripacs_command):
    out = tmp_path / f"statement.{form}"
    done = mripacs_command("admin", "conformance", "--format", form, "--out", out)
    assert done.exit_code == 0, done.err
    text = out.read_text(encoding="utf-8")
    assert "MRIPACS_KWAVELET" in text
    if form == "json":
        assert json.load(io.StringIO(text))["sections"]


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path, mripacs_command):
    done = mripacs_command("admin", "conformance", "--out", tmp_path / "absent" / "file.md")
    assert done.exit_code == 78
    assert "cannot be written" in done.err

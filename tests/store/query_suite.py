"""Matching and returning (PS3.4 C.2.2.2), the same on every database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from mripacs.core.errors import QueryError
from mripacs.core.model import InstanceSelection, Level, Match, Query
from mripacs.dicom.index import INDEX_KEYWORDS
from mripacs.store import Store
from mripacs.store.keys import KEYS, Kind
from tests.store.examples import new_instance

# study: patient, study attributes; then its series: attributes, number of instances
STUDIES = {
    "A": (
        {"PatientID": "100", "PatientName": "Müller^Hans^^^", "PatientBirthDate": "19700101", "PatientSex": "M"},
        {"StudyDate": "20200101", "StudyTime": "10", "AccessionNumber": "50%_off", "StudyDescription": "Kopf [nativ]"},
        [({"Modality": "MR", "SeriesNumber": 3, "SeriesDescription": "T1*", "SeriesTime": "1015"}, 3),
         ({"Modality": "SR", "SeriesNumber": 10}, 1)],
    ),
    "B": (
        {"PatientID": "100", "PatientName": "MÜLLER^HANS", "PatientBirthDate": "19700101"},
        {"StudyDate": "2020.06.15", "StudyTime": "103059.5", "AccessionNumber": "500off",
         "ReferringPhysicianName": "Doe^J"},
        [({"Modality": "MR", "SeriesNumber": 1, "SeriesDescription": "T1x", "OperatorsName": "Ann\\Bob"}, 2)],
    ),
    "C": (
        {"PatientID": "a1", "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"StudyDate": "20210101", "StudyTime": "235959", "AccessionNumber": "50X%off"},
        [({"Modality": "CT", "SeriesNumber": 1, "SeriesDescription": "t1"}, 1)],
    ),
    "D": ({"PatientName": "muller^hans"}, {}, [({"Modality": "MR"}, 1)]),
    "E": ({"PatientName": "Someone^Else"}, {}, [({"Modality": "MR"}, 1)]),
}  # fmt: skip


def fill(store: Store) -> None:
    for study, (patient, of_study, of_series) in STUDIES.items():
        for place, (attributes, instances) in enumerate(of_series):
            for number in range(instances, 0, -1):
                series = f"{study}.{place}"
                kind = "ORIGINAL\\PRIMARY\\M_FFE" if number == 1 else "DERIVED\\PRIMARY\\M"
                of_instance = {"InstanceNumber": number, "ImageType": kind, "Rows": 64 * number, "EchoTime": "4.6"}
                if number == 2:
                    del of_instance["EchoTime"]
                new = new_instance(
                    f"{series}.{number}", series, study, served=f"served.{series}.{number}", of_study=of_study,
                    of_series=attributes, of_instance=of_instance, patient={"PatientID": "", **patient},
                )  # fmt: skip
                store.add(new)


def single(keyword: str, value: str, *, fold_case: bool = False) -> Match:
    return Match(keyword, "single", (value,), fold_case)


def wildcard(keyword: str, value: str, *, fold_case: bool = False) -> Match:
    return Match(keyword, "wildcard", (value,), fold_case)


def name(value: str) -> Match:
    return Match("PatientName", "wildcard" if set(value) & set("*?") else "single", (value,), True)


def between(keyword: str, first: str, last: str) -> Match:
    return Match(keyword, "range", (first, last))


def listed(keyword: str, *values: str) -> Match:
    return Match(keyword, "list", values)


STUDY_MATRIX = [
    ((), "ABCDE"),
    ((Match("StudyDate", "universal"),), "ABCDE"),
    ((single("PatientID", "100"),), "AB"),
    ((single("PatientID", "A1"),), ""),
    ((single("PatientID", "A1", fold_case=True),), "C"),
    ((wildcard("PatientID", "A*"),), ""),
    ((wildcard("PatientID", "A?", fold_case=True),), "C"),
    ((wildcard("PatientID", "*"),), "ABCDE"),
    ((listed("PatientID", "100", "a1", "zz"),), "ABC"),
    ((name("müller^hans"),), "AB"),
    ((name("MÜLLER^HANS^^"),), "AB"),
    ((name("mu\u0308ller*"),), "AB"),
    ((name("MULLER*"),), "D"),
    ((name("m?ller^hans"),), "ABD"),
    ((name("müller"),), ""),
    ((name("*hans"),), "ABD"),
    ((name("yamada*"),), "C"),
    ((name("山田^太郎"),), "C"),
    ((name("やまだ*"),), "C"),
    ((name("=山田*"),), "C"),
    ((name("山田*="),), ""),
    ((name("YAMADA^TAROU=山田^太郎"),), "C"),
    ((name("*=*=やまだ*"),), "C"),
    ((name("Yamada*やまだ"),), ""),
    ((Match("ReferringPhysicianName", "single", ("DOE^j",), True),), "B"),
    ((single("AccessionNumber", "50%_off"),), "A"),
    ((wildcard("AccessionNumber", "50%*"),), "A"),
    ((wildcard("AccessionNumber", "50?*off"),), "ABC"),
    ((wildcard("AccessionNumber", "50_*"),), ""),
    ((wildcard("StudyDescription", "Kopf [*]"),), "A"),
    ((wildcard("StudyDescription", "Kop[f]*"),), ""),
    ((single("StudyDescription", "Kopf [nativ]"),), "A"),
    ((between("StudyDate", "20200101", "20200615"),), "AB"),
    ((between("StudyDate", "20200102", ""),), "BC"),
    ((between("StudyDate", "", "20200101"),), "A"),
    ((single("StudyDate", "20200615"),), "B"),
    ((between("StudyDate", "", ""),), "ABC"),
    ((between("StudyTime", "1000", "1030"),), "AB"),
    ((between("StudyTime", "103059.4", "1030595"[:6]),), "B"),
    ((between("StudyTime", "103059.6", ""),), "C"),
    ((between("StudyTime", "", "10"),), "AB"),
    ((single("StudyTime", "10"),), "AB"),
    ((single("StudyTime", "1030"),), "B"),
    ((single("StudyTime", "100000.000000"),), "A"),
    ((single("ModalitiesInStudy", "MR"),), "ABDE"),
    ((listed("ModalitiesInStudy", "SR", "CT"),), "AC"),
    ((wildcard("ModalitiesInStudy", "?T"),), "C"),
    ((single("ModalitiesInStudy", "M"),), ""),
    ((single("PatientSex", "M"), single("PatientID", "100")), "A"),
    ((listed("StudyInstanceUID", "C", "A"),), "AC"),
    ((single("Modality", "CT"),), "ABCDE"),  # a lower level's key is ignored
    ((single("PrivateNonsense", "x"),), "ABCDE"),
]
SERIES_MATRIX = [
    ((single("Modality", "MR"),), "A.0 B.0 D.0 E.0"),
    ((single("SeriesNumber", "1"),), "B.0 C.0"),
    ((single("SeriesNumber", "01"),), "B.0 C.0"),
    ((single("SeriesNumber", "one"),), ""),
    ((wildcard("SeriesDescription", "T1?"),), "A.0 B.0"),
    ((single("SeriesDescription", "T1*"),), "A.0"),
    ((wildcard("SeriesDescription", "t1*", fold_case=True),), "A.0 B.0 C.0"),
    ((between("SeriesTime", "10", "1015"),), "A.0"),
    ((between("SeriesTime", "1016", ""),), ""),
    ((single("OperatorsName", "Bob"),), "B.0"),
    ((single("OperatorsName", "Bo"),), ""),
    ((wildcard("OperatorsName", "B*"),), "B.0"),
    ((single("StudyInstanceUID", "A"),), "A.0 A.1"),
    ((single("PatientID", "100"), single("Modality", "SR")), "A.1"),
]
IMAGE_MATRIX = [
    ((single("SeriesInstanceUID", "A.0"),), "A.0.1 A.0.2 A.0.3"),
    ((single("InstanceNumber", "2"),), "A.0.2 B.0.2"),
    ((listed("SOPInstanceUID", "A.0.2", "served.B.0.1", "nothing"),), "A.0.2 B.0.1"),
    ((single("ImageType", "DERIVED"), single("StudyInstanceUID", "A")), "A.0.2 A.0.3"),
    ((single("ImageType", "M"),), "A.0.2 A.0.3 B.0.2"),
    ((wildcard("ImageType", "M_*"), single("StudyInstanceUID", "A")), "A.0.1 A.1.1"),
    ((single("Rows", "192"),), "A.0.3"),
    ((single("EchoTime", "4.6"), single("SeriesInstanceUID", "A.0")), "A.0.1 A.0.3"),
    ((listed("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),), ""),
]


class QuerySuite:
    """Queries against STUDIES; a subclass says which database by the class-scoped fixture `url`."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, url: str) -> Iterator[Store]:
        with Store.open(url) as store:
            fill(store)
            yield store

    @pytest.mark.parametrize(("matches", "expected"), STUDY_MATRIX)
    def test_studies(self, store: Store, matches: tuple[Match, ...], expected: str) -> None:
        rows = store.query(Query(Level.STUDY, matches, ("StudyInstanceUID",)))
        assert "".join(row["StudyInstanceUID"] for row in rows) == expected

    @pytest.mark.parametrize(("matches", "expected"), SERIES_MATRIX)
    def test_series(self, store: Store, matches: tuple[Match, ...], expected: str) -> None:
        rows = store.query(Query(Level.SERIES, matches, ("SeriesInstanceUID",)))
        assert " ".join(row["SeriesInstanceUID"] for row in rows) == expected

    @pytest.mark.parametrize(("matches", "expected"), IMAGE_MATRIX)
    def test_images(self, store: Store, matches: tuple[Match, ...], expected: str) -> None:
        rows = store.query(Query(Level.IMAGE, matches, ("SOPInstanceUID",)))
        assert " ".join(row["SOPInstanceUID"].removeprefix("served.") for row in rows) == expected

    def test_patients(self, store: Store) -> None:
        keywords = ("PatientID", "PatientName", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries",
                    "NumberOfPatientRelatedInstances", "StudyDate")  # fmt: skip
        rows = list(store.query(Query(Level.PATIENT, (), keywords)))
        assert [tuple(row.values()) for row in rows] == [
            ("100", "Müller^Hans^^^", 2, 3, 6),
            ("a1", "Yamada^Tarou=山田^太郎=やまだ^たろう", 1, 1, 1),
            ("muller^hans", 1, 1, 1),
            ("Someone^Else", 1, 1, 1),
        ]
        (row,) = store.query(Query(Level.PATIENT, (name("*HANS"), single("PatientID", "100")), ("PatientName",)))
        assert row == {"PatientName": "Müller^Hans^^^"}

    def test_counts_and_upper_levels_are_returned_when_asked(self, store: Store) -> None:
        keywords = ("PatientName", "StudyDate", "Modality", "NumberOfStudyRelatedSeries",
                    "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances", "ModalitiesInStudy",
                    "InstanceNumber", "Unheard")  # fmt: skip
        first, *_ = store.query(Query(Level.SERIES, (), keywords))
        assert first == {
            "PatientName": "Müller^Hans^^^", "StudyDate": "20200101", "Modality": "MR", "NumberOfStudyRelatedSeries": 2,
            "NumberOfStudyRelatedInstances": 4, "NumberOfSeriesRelatedInstances": 3, "ModalitiesInStudy": "MR\\SR",
        }  # fmt: skip
        assert next(store.query(Query(Level.STUDY, (), ("StudyTime",)))) == {"StudyTime": "10"}

    def test_instances_return_their_own_values(self, store: Store) -> None:
        rows = store.query(Query(Level.IMAGE, (single("SeriesInstanceUID", "A.0"),), ("EchoTime", "Rows", "ImageType")))
        assert list(rows) == [
            {"ImageType": "ORIGINAL\\PRIMARY\\M_FFE", "Rows": 64, "EchoTime": "4.6"},
            {"ImageType": "DERIVED\\PRIMARY\\M", "Rows": 128},
            {"ImageType": "DERIVED\\PRIMARY\\M", "Rows": 192, "EchoTime": "4.6"},
        ]

    def test_pages_join_up(self, store: Store) -> None:
        def page(limit: int | None, offset: int) -> list[str]:
            query = Query(Level.IMAGE, (), ("SOPInstanceUID",), limit, offset)
            return [str(row["SOPInstanceUID"]) for row in store.query(query)]

        everything = page(None, 0)
        assert len(everything) == 9
        assert [uid for offset in range(0, 12, 4) for uid in page(4, offset)] == everything
        assert page(None, 7) == everything[7:]
        assert page(0, 0) == []

    @pytest.mark.parametrize(
        "match",
        [
            single("StudyDate", "yesterday"),
            between("StudyDate", "2020", ""),
            between("StudyTime", "", "noon"),
            single("StudyTime", "1"),
            Match("StudyDate", "range", ("20200101",)),
            wildcard("PatientID", "a" * 2000),
            Match("StudyInstanceUID", "list", ("1",) * 40_000),
        ],
    )
    def test_keys_that_cannot_be_matched(self, store: Store, match: Match) -> None:
        with pytest.raises(QueryError):
            store.query(Query(Level.STUDY, (match,), ()))

    @pytest.mark.parametrize("broken", ["A\0B", "\0", "\ud800", "ü\udcff"])
    def test_what_no_database_takes_is_no_key(self, store: Store, broken: str) -> None:
        """Refused at once and by name, whatever compares it: no stored text has a NUL or half a surrogate pair."""
        keys = ("PatientID", "PatientName", "AccessionNumber", "ImageType", "ModalitiesInStudy", "SOPInstanceUID")
        for keyword in (*keys, "StudyDate", "StudyTime", "InstanceNumber"):
            for kind, values in (("single", (broken,)), ("list", ("1", broken)), ("wildcard", (f"{broken}*",))):
                for fold_case in (False, True):
                    with pytest.raises(QueryError, match=f"{keyword}: a matching key with"):
                        store.query(Query(Level.IMAGE, (Match(keyword, kind, values, fold_case),), ()))

    @pytest.mark.parametrize("broken", ["A\0B", "\0", "\ud800"])
    @pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(InstanceSelection)])
    def test_what_no_database_takes_selects_nothing(self, store: Store, key: str, broken: str) -> None:
        selection = InstanceSelection(**{key: ("1.2", broken)})
        for ask in (store.select, store.delete, store.waiting.named):
            with pytest.raises(QueryError, match="a matching key with"):
                ask(selection)

    def test_an_abandoned_query_gives_its_connection_back(self, store: Store) -> None:
        rows = store.query(Query(Level.IMAGE, (), ("SOPInstanceUID",)))
        next(rows)
        rows.close()
        assert store._engine.pool.checkedout() == 0

    def test_every_indexed_attribute_can_be_matched(self, store: Store) -> None:
        for level, keywords in INDEX_KEYWORDS.items():
            for keyword in keywords:
                assert KEYS[keyword].level is level, keyword
                value = "0315" if KEYS[keyword].kind is Kind.TIME else "19991231"
                assert list(store.query(Query(Level.IMAGE, (listed(keyword, value),), (keyword,)))) == []

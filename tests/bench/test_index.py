"""`mripacs bench index` runs, what it fills in is a whole archive, and its questions are answered by indexes."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from mripacs.cli.index_bench import synthetic
from mripacs.cli.index_bench.questions import QUESTIONS, Place
from mripacs.core.model import Query
from mripacs.store import Store
from mripacs.store.bulk import BulkStore
from mripacs.store.dissection import Dissection
from tests.cli.conftest import mripacs
from tests.postgres import new_postgres_database, postgres_server

__all__ = ["mripacs", "new_postgres_database", "postgres_server"]  # fixtures of others

STUDIES, OF_STUDY = 40, 30
# The names that a plan must hold on SQLite and PostgreSQL, and those that must not stand after "SCAN" or "Seq Scan on".
BY_UID = ("pk_instance_uid", "pk_series", "pk_study", "pk_instance")
OF_STUDY_INDEXES = ("study_study_instance_uid", "series_study_id_series_instance_uid")
NAMES = tuple(f"ix_study_patient_name_{group}_id" for group in ("alphabetic", "ideographic", "phonetic"))
INDEXES: dict[str, tuple[str, ...]] = {
    "100 newest studies": ("pk_study",),
    "patient ID": ("ix_study_patient_id",),
    "patient ID*": ("ix_study_patient_id",),
    "accession number": ("ix_study_accession_number",),
    "name* (one study)": NAMES,
    "*name* (one study)": ("pk_name_part", "pk_study"),
    "name* (first 3)": NAMES,
    "*name* (first 3)": ("pk_name_part", "pk_study"),
    "name that nobody has": ("pk_name_part", "pk_study"),
    "a week": ("ix_study_study_date",),
    "a week, newest first, MR": ("ix_study_study_date", "series_study_id_series_instance_uid"),
    "series of a study": OF_STUDY_INDEXES,
    "instances of a study": (*OF_STUDY_INDEXES, "ix_instance_series_id"),
    "an instance by UID": BY_UID,
    "first 100 instances": ("ix_instance_series_id",),
    "100 instances, deep in": ("ix_instance_series_id",),
    "100 instances at nine tenths": ("ix_instance_series_id",),
    "10 studies at nine tenths": ("pk_study",),
    "first 10 patients": ("pk_study", "ix_study_patient_key"),
    "a patient by ID": ("ix_study_patient_id", "ix_study_patient_key"),
}
# SQLite's own names of the same: keys that are row numbers, and indexes of constraints.
ON_SQLITE = {
    "pk_instance_uid": "instance_uid USING PRIMARY KEY",
    "pk_name_part": "name_part USING PRIMARY KEY",
    "pk_instance": "instance USING INTEGER PRIMARY KEY",
    "pk_series": "series USING INTEGER PRIMARY KEY",
    "pk_study": "study USING INTEGER PRIMARY KEY",
    "study_study_instance_uid": "sqlite_autoindex_study_1",
    "series_study_id_series_instance_uid": "sqlite_autoindex_series_1",
}
IN_ORDER_OF_ROWS = ("100 newest studies", "10 studies at nine tenths", "first 10 patients")  # SQLite: "SCAN study"


def place() -> Place:
    news = synthetic.study(synthetic.RARE_STUDY, OF_STUDY)
    attributes = {**news[0].attributes.patient, **news[0].attributes.study}
    return Place(STUDIES, STUDIES * OF_STUDY, attributes, news[7].sop_instance_uid)


def fill(url: str) -> None:
    with BulkStore.open(url) as store:
        store.add_studies(synthetic.studies(range(STUDIES), OF_STUDY))


class IndexSuite:
    """`filled` names a database with STUDIES made-up studies."""

    def test_what_is_filled_in_is_a_whole_archive(self, filled: str) -> None:
        with Store.open(filled) as store:
            assert store.check_references() == []
            uids = list(store.iterate_uids())
            assert len(uids) == STUDIES * OF_STUDY
            for uid in uids[::100]:
                assert store.verify_bytes(uid) == []
                new = next(
                    new for number in range(STUDIES) for new in synthetic.study(number, OF_STUDY)
                    if new.sop_instance_uid == uid
                )  # fmt: skip
                assert store.load(uid).identity.certificate == new.certificate

    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
    def test_plans_use_the_indexes(self, filled: str, question) -> None:
        plan = self.plan(filled, question.ask(place()))
        for index in self.expected(question.name):
            assert index in plan, f"{index} is not used:\n{plan}"
        assert "Seq Scan" not in plan
        if question.name not in IN_ORDER_OF_ROWS:
            assert "SCAN study\n" not in f"{plan}\n"


class TestSqlite(IndexSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        url = f"sqlite:///{tmp_path_factory.mktemp('index') / 'mripacs.db'}"
        fill(url)
        return url

    @staticmethod
    def plan(url: str, query: Query) -> str:
        with Dissection.open(url) as database:
            return "\n".join(database.plan(query))

    @staticmethod
    def expected(question: str) -> tuple[str, ...]:
        names = (ON_SQLITE.get(index, index) for index in INDEXES[question])
        return tuple("SCAN study" if question in IN_ORDER_OF_ROWS and "study USING" in name else name for name in names)

    def test_a_missing_index_is_seen(self, tmp_path) -> None:
        url = f"sqlite:///{tmp_path / 'mripacs.db'}"
        fill(url)
        with Store.open(url) as store, store._writing() as connection:
            connection.execute(text("DROP INDEX ix_study_accession_number"))
        question = next(question for question in QUESTIONS if question.name == "accession number")
        with pytest.raises(AssertionError, match="is not used"):
            self.test_plans_use_the_indexes(url, question)


class TestPostgresql(IndexSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, new_postgres_database) -> str:
        """Of small tables PostgreSQL reads all rows unless that is forbidden: the question is what it can use."""
        url = new_postgres_database()
        fill(url)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for what in ("seqscan", "hashjoin", "mergejoin", "bitmapscan"):
                connection.execute(text(f"ALTER DATABASE {engine.url.database} SET enable_{what} = off"))
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()
        return url

    @staticmethod
    def plan(url: str, query: Query) -> str:
        with Dissection.open(url) as database:
            return "\n".join(database.plan(query))

    @staticmethod
    def expected(question: str) -> tuple[str, ...]:
        return INDEXES[question]


def test_quick(mripacs) -> None:
    found = mripacs("bench", "index", "--quick", "--json").json
    assert {row["question"] for row in found["questions"]} == INDEXES.keys()
    rows = {row["question"]: row["rows"] for row in found["questions"]}
    assert rows["100 newest studies"] == rows["first 100 instances"] == rows["100 instances at nine tenths"] == 100
    assert rows["*name* (one study)"] == rows["name* (one study)"] == rows["an instance by UID"] == 1
    assert rows["name that nobody has"] == 0
    assert rows["a week"] == 14
    assert 1000 < found["index_bytes_per_instance"] < 3000
    assert found["adding"]["rate_against_empty"] > 0
    assert found["opening_s"]["large"] > 0

"""The store against a dictionary, in whatever order hypothesis thinks of."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mripacs.core.errors import ConflictError, UnknownInstanceError
from mripacs.core.model import InstanceSelection, Level, Match, NewInstance, Query
from mripacs.store import Store
from tests.store.examples import new_instance

UIDS = st.sampled_from([f"1.{number}" for number in range(8)])
SERIES = st.sampled_from(["5", "6", "7"])
STUDIES = st.sampled_from(["3", "4"])
MODALITIES = st.sampled_from(["MR", "SR"])


class StoreModel(RuleBasedStateMachine):
    """Instances by each of their UIDs are all that there is to know; the store must agree after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'mripacs.db'}"
        self.store = Store.open(self.url)
        self.instances: list[NewInstance] = []
        self.modalities: dict[tuple[str, str], str] = {}  # of each series' first instance, as long as it has any

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(uid=UIDS, served=UIDS, series=SERIES, study=STUDIES, modality=MODALITIES, size=st.integers(0, 3000))
    def add(self, uid: str, served: str, series: str, study: str, modality: str, size: int) -> None:
        header = f"{series} ".encode() * 500 + bytes(range(256)) * (size % 7) + b"\1" * size
        new = new_instance(uid, series, study, served=served, header=header, of_series={"Modality": modality})
        try:
            self.store.add(new)
        except ConflictError:
            assert self.by_uid.keys() & {uid, served}
        else:
            assert not self.by_uid.keys() & {uid, served}
            self.instances.append(new)
            self.modalities.setdefault(self.place(new), modality)

    @rule(uid=UIDS)
    def delete_instance(self, uid: str) -> None:
        self.delete(InstanceSelection(sop_instance_uids=(uid,)), [*filter(None, [self.by_uid.get(uid)])])

    @rule(series=SERIES, study=st.none() | STUDIES)
    def delete_series(self, series: str, study: str | None) -> None:
        going = [new for new in self.instances if self.place(new) in {(each, series) for each in (study or "34")}]
        self.delete(InstanceSelection(study_uids=(study,) if study else (), series_uids=(series,)), going)

    def delete(self, selection: InstanceSelection, going: list[NewInstance]) -> None:
        places = {self.place(new) for new in self.instances}
        if not going:
            with pytest.raises(UnknownInstanceError):
                self.store.delete(selection)
            return
        deletion = self.store.delete(selection)
        assert set(deletion.sop_instance_uids) == {new.sop_instance_uid for new in going}
        self.instances = [new for new in self.instances if new not in going]
        left = {self.place(new) for new in self.instances}
        assert deletion.series == len(places - left)
        assert deletion.studies == len({study for study, _ in places} - {study for study, _ in left})
        self.modalities = {place: modality for place, modality in self.modalities.items() if place in left}

    @rule(uid=UIDS)
    def load(self, uid: str) -> None:
        expected = self.by_uid.get(uid)
        found = self.store.identify(uid)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert found.certificate == expected.certificate
            assert self.store.load(uid).header == expected.header

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = Store.open(self.url, create=False)

    @rule(series=SERIES, study=STUDIES)
    def select(self, series: str, study: str) -> None:
        found = self.store.select(InstanceSelection(study_uids=(study,), series_uids=(series,)))
        expected = [new.sop_instance_uid for new in self.instances if self.place(new) == (study, series)]
        assert [identity.sop_instance_uid for identity in found] == expected  # without numbers, in order of arrival

    @rule(modality=MODALITIES)
    def find_studies(self, modality: str) -> None:
        keywords = ("StudyInstanceUID", "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries")
        rows = self.store.query(Query(Level.STUDY, (Match("ModalitiesInStudy", "single", (modality,)),), keywords))
        studies = {study for (study, _), of_series in self.modalities.items() if of_series == modality}
        assert {row["StudyInstanceUID"]: tuple(row.values())[1:] for row in map(sorted_row, rows)} == {
            study: (
                sum(self.place(new)[0] == study for new in self.instances),
                sum(place[0] == study for place in self.modalities),
            )
            for study in studies
        }

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.store.check_references() == []
        assert set(self.store.iterate_uids()) == {new.sop_instance_uid for new in self.instances}

    @property
    def by_uid(self) -> dict[str, NewInstance]:
        names = ("sop_instance_uid", "original_sop_instance_uid")
        return {getattr(new, name): new for new in self.instances for name in names}

    @staticmethod
    def place(new: NewInstance) -> tuple[str, str]:
        return str(new.attributes.study["StudyInstanceUID"]), str(new.attributes.series["SeriesInstanceUID"])


def sorted_row(row: dict[str, str | int]) -> dict[str, str | int]:
    order = ("StudyInstanceUID", "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries")
    return {keyword: row[keyword] for keyword in order}


StoreModel.TestCase.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)
TestStoreModel = StoreModel.TestCase

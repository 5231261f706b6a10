"""Names found by how they begin, by parts, or from end to end: the same as a plain matcher finds."""

from __future__ import annotations

import random
import re

import pytest
from sqlalchemy import delete, insert, update

from mripacs.core.model import InstanceSelection, Level, Match, Query
from mripacs.store import Store, schema
from mripacs.store.match_forms import fold, name_forms
from tests.store.examples import new_instance

SEED = 20250
# Beside letters: what SQL patterns take as something else, case that folds, and ends of the range of code points.
LETTERS = "aabbcé山田やЖß^^ '-[]%_\\\ud7ff\ue000\U0010ffff"
NAMES = 60
PATTERNS = 200


def made_up_name(chance: random.Random) -> str:
    groups = ["".join(chance.choices(LETTERS, k=chance.randint(0, 9))) for _ in range(chance.choice((1, 1, 2, 3)))]
    return "=".join(groups)


def made_up_pattern(chance: random.Random, names: list[str]) -> str:
    """Mostly cut out of a name, so that most find something; now and then of another case."""
    name = chance.choice(names)
    begin = chance.randrange(len(name) + 1)
    end = chance.randrange(begin, len(name) + 1)
    core = "".join("?" if chance.random() < 0.1 else letter for letter in name[begin:end])
    core = core.upper() if chance.random() < 0.2 else core
    return chance.choice(("", "*")) + core + chance.choice(("", "*", "*", "*" + "".join(chance.choices(LETTERS, k=1))))


def matches(pattern: str, name: str) -> bool:
    """PS3.4 C.2.2.2.4 without case, spelled out; PN as PS3.5 6.2.1 has it."""
    groups = name_forms(name)
    given = [fold(group.strip().rstrip("^")) for group in pattern.split("=")]
    if len(given) == 1:
        return any(group is not None and like(given[0], group) for group in groups)
    return all(
        group is not None and like(wanted, group)
        for wanted, group in zip(given, groups, strict=False)
        if wanted.strip("*")
    )


def like(pattern: str, text: str) -> bool:
    written = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(written, text, re.DOTALL) is not None


def kind_of(pattern: str) -> str:
    return "wildcard" if set(pattern) & set("*?") else "single"


class NameSuite:
    """`url` names a database with this version's tables and nothing in them."""

    @pytest.mark.parametrize("keyword", ["PatientName", "ReferringPhysicianName"])
    def test_what_a_plain_matcher_finds(self, store: Store, keyword: str) -> None:
        chance = random.Random(SEED)  # noqa: S311
        names = [made_up_name(chance) for _ in range(NAMES)]
        for number, name in enumerate(names):
            level = "patient" if keyword == "PatientName" else "of_study"
            store.add(new_instance(f"1.{number}", f"5.{number}", f"4.{number}", **{level: {keyword: name}}))
        assert store.check_references() == []
        found_some = 0
        for _ in range(PATTERNS):
            pattern = made_up_pattern(chance, names)
            if not pattern.strip("*") or not all(group.strip("*^ ") for group in pattern.split("=")):
                continue
            match = Match(keyword, kind_of(pattern), (pattern,), fold_case=True)
            rows = store.query(Query(Level.STUDY, (match,), ("StudyInstanceUID",)))
            expected = [f"4.{number}" for number, name in enumerate(names) if matches(pattern, name)]
            assert [row["StudyInstanceUID"] for row in rows] == expected, (pattern, expected)
            found_some += bool(expected)
        assert found_some > PATTERNS / 4

    def test_several_patterns_in_one_key(self, store: Store) -> None:
        for number, name in enumerate(("Doe^John", "Roe^Jane", "van der Berg^Jo", "Li^Xu")):
            store.add(new_instance(f"1.{number}", f"5.{number}", f"4.{number}", patient={"PatientName": name}))
        match = Match("PatientName", "wildcard", ("doe*", "*berg^*", "*u", "=x"), fold_case=True)
        rows = store.query(Query(Level.STUDY, (match,), ("StudyInstanceUID",)))
        assert [row["StudyInstanceUID"] for row in rows] == ["4.0", "4.2", "4.3"]

    def test_parts_go_with_their_study(self, store: Store) -> None:
        for number in range(2):
            store.add(new_instance(f"1.{number}", f"5.{number}", f"4.{number}", patient={"PatientName": "Doe^John"}))
        store.delete(InstanceSelection(study_uids=("4.0",)))
        assert store.check_references() == []
        store.delete(InstanceSelection(study_uids=("4.1",)))
        with store._engine.connect() as connection:
            assert connection.execute(schema.name_part.select()).all() == []

    @pytest.mark.parametrize(
        "damage",
        [
            delete(schema.name_part).where(schema.name_part.c.part == "doe"),
            update(schema.name_part).where(schema.name_part.c.part == "doe").values(part="dof"),
            insert(schema.name_part).values(part="xyz", study_id=77),
        ],
        ids=["lost", "another", "of no study"],
    )
    def test_wrong_parts_are_found_and_put_right(self, store: Store, damage) -> None:
        store.add(new_instance(patient={"PatientName": "Doe^John"}))
        with store._writing() as connection:
            connection.execute(damage)
        assert [finding.what for finding in store.check_references()] == ["index"]
        store.repair()
        assert store.check_references() == []
        match = Match("PatientName", "wildcard", ("*doe*",), fold_case=True)
        assert len(list(store.query(Query(Level.STUDY, (match,), ())))) == 1

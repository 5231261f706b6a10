"""config/mripacs.toml documents every key as the model has it: default, range, and nothing that does not exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from mripacs.core.refusal import allowed
from mripacs.core.rules import Conditions, Rule
from mripacs.core.settings import SECTIONS, Destination, Settings, load_settings
from mripacs.core.tls import ClientTlsSettings, TlsSettings
from mripacs.core.web import OidcSettings, Token
from tests.real_parts import REPOSITORY

TEXT = (REPOSITORY / "config" / "mripacs.toml").read_text(encoding="utf-8")

DEFAULT = re.compile(r"^#(?=[a-z])", re.MULTILINE)  # "#key = value"
EXAMPLE = re.compile(r"^#: ", re.MULTILINE)  # "#: key = value"
SHOWN = re.compile(r"^(?P<marker>#: |#|)(?:\[+(?P<table>[\w.]+)\]+|(?P<key>\w+) = .*)$")

# Each table by its name in the file. A list or free table is documented where its first example begins.
TABLES: dict[str, type[BaseModel]] = {
    **SECTIONS,
    "dimse.destinations.VIEWER": Destination,
    "dimse.destinations.VIEWER.tls": ClientTlsSettings,
    "dimse.tls": TlsSettings,
    "web.tokens.VIEWER": Token,
    "web.oidc": OidcSettings,
    "web.tls": TlsSettings,
    "log.syslog_tls": ClientTlsSettings,
    "policy.rules": Rule,
    "policy.rules.when": Conditions,
}
FIELDS = {f"{table}.{key}": field for table, model in TABLES.items() for key, field in model.model_fields.items()}
MACHINE_DEPENDENT = {"archive.workers"}  # its default is one for each processor


class Entry(NamedTuple):
    """What the file says of a key: the comment lines above it, and whether a default or an example follows."""

    comment: list[str]
    marker: str


def entries() -> dict[str, Entry]:
    """The first entry of each key and table, by its full name."""
    found: dict[str, Entry] = {}
    table, comment = "", []
    for line in TEXT.splitlines():
        if shown := SHOWN.match(line):
            table = shown["table"] or table
            name = f"{table}.{shown['key']}" if shown["key"] else table.removesuffix(".VIEWER")
            found.setdefault(name, Entry(comment, shown["marker"].strip()))
        comment = [*comment, line] if line.startswith("# ") else []
    return found


def uncommented(*patterns: re.Pattern[str]) -> str:
    text = TEXT
    for pattern in patterns:
        text = pattern.sub("", text)
    return text


@pytest.fixture
def load(tmp_path: Path):
    def load_text(text: str) -> Settings:
        path = tmp_path / "mripacs.toml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environment={})

    return load_text


def test_the_file_as_shipped_changes_nothing(load) -> None:
    assert load(TEXT) == load_settings(environment={})


def test_the_defaults_it_shows_are_the_models(load) -> None:
    text = uncommented(DEFAULT)
    assert load(text) == load_settings(environment={})
    shown = {f"{table}.{key}" for table, keys in tomllib.loads(text).items() for key in keys}
    defaults = {f"{table}.{key}" for table in SECTIONS for key in SECTIONS[table].model_fields}
    cannot_be_shown = {
        name for name in defaults if FIELDS[name].get_default(call_default_factory=True) in (None, (), {})
    }
    assert shown == defaults - cannot_be_shown - MACHINE_DEPENDENT


def test_its_examples_are_valid_and_complete(load) -> None:
    settings = load(uncommented(DEFAULT, EXAMPLE))
    assert settings.archive.workers == 4
    assert settings.dimse.destinations["VIEWER"].port == 104
    assert len(settings.policy.rules) == 5
    assert settings.policy.rules[0].when.model_fields_set == set(Conditions.model_fields)
    assert set().union(*(rule.model_fields_set for rule in settings.policy.rules)) == set(Rule.model_fields)


@pytest.mark.parametrize("name", FIELDS)
def test_every_key_is_explained_with_its_range(name: str) -> None:
    comment = entries()[name].comment
    location = [part for key in name.split(".") for part in ((key, 0) if key == "rules" else (key,))]
    if location[-1] == 0:
        location.pop()
    assert f"# Range: {allowed(Settings, location)}" in comment
    assert [line for line in comment if not line.startswith(("# Range:", "# Default:"))], "its meaning is missing"


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_that_is_not_shown_is_said_in_words(name: str) -> None:
    entry = entries()[name]
    has_default = not FIELDS[name].is_required() and name != "policy.rules.when"
    assert any(line.startswith("# Default:") for line in entry.comment) is (entry.marker == "#:" and has_default)


def test_no_comment_explains_a_key_that_does_not_exist() -> None:
    assert set(entries()) == set(FIELDS) | set(SECTIONS)

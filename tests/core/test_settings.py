"""Where settings come from, who wins, and what a wrong one is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mripacs.core.errors import SettingsError
from mripacs.core.settings import DimseSettings, Settings, load_settings


@pytest.fixture
def load(tmp_path: Path):
    def load_all(toml: str = "", flags: dict | None = None, environment: dict[str, str] | None = None) -> Settings:
        path = tmp_path / "site.toml"
        path.write_text(toml, encoding="utf-8")
        return load_settings(path, flags, environment or {})

    return load_all


@pytest.fixture
def refusal(load):
    """The message with which settings are refused."""

    def refusal_of(toml: str = "", flags: dict | None = None, environment: dict[str, str] | None = None) -> str:
        with pytest.raises(SettingsError) as caught:
            load(toml, flags, environment)
        return str(caught.value)

    return refusal_of


# --- precedence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "environment", "flags", "port"),
    [
        ("", {}, {}, 11112),
        ("[dimse]\nport = 1", {}, {}, 1),
        ("[dimse]\nport = 1", {"MRIPACS_DIMSE__PORT": "2"}, {}, 2),
        ("[dimse]\nport = 1", {"MRIPACS_DIMSE__PORT": "2"}, {"dimse": {"port": 3}}, 3),
        ("[dimse]\nport = 1", {}, {"dimse": {"port": 3}}, 3),
        ("[dimse]\nport = 1", {}, {"dimse": {"port": None}}, 1),
        ("[dimse]\nport = 1", {"MRIPACS_DIMSE__HOST": "::1"}, {"dimse": {"ae_title": "A"}}, 1),
    ],
)
def test_later_sources_win_key_by_key(load, toml, environment, flags, port) -> None:
    assert load(toml, flags, environment).dimse.port == port


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRIPACS_DIMSE__AE_TITLE", "FROM_SHELL")
    assert load_settings().dimse.ae_title == "FROM_SHELL"
    assert load_settings(environment={}).dimse.ae_title == "MRIPACS"


def test_values_never_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(environment={}).dimse.port = 1  # type: ignore[misc]


# --- environment ----------------------------------------------------------------------------------------------------


def test_environment_values_become_the_types_of_their_keys(load) -> None:
    settings = load(
        environment={
            "MRIPACS_DIMSE__IDLE_TIMEOUT_S": "2.5",
            "MRIPACS_LOG__JSON_LINES": "true",
            "MRIPACS_ARCHIVE__DIRECTORY": "/srv/images",
            "MRIPACS_DIMSE__AE_TITLE": "104",
            "PATH": "/bin",
        }
    )
    assert settings.dimse.idle_timeout_s == 2.5
    assert settings.log.json_lines is True
    assert settings.archive.directory == Path("/srv/images")
    assert settings.dimse.ae_title == "104"


def test_environment_lists_and_tables_are_json(load) -> None:
    rule = {"name": "all", "keep": "kwavelet", "max_error": 3, "when": {"modality": ["MR"], "signed": False}}
    settings = load(
        "[dimse.destinations.A]\nhost = 'a'\nport = 1",
        environment={
            "MRIPACS_POLICY__RULES": json.dumps([rule]),
            "MRIPACS_DIMSE__DESTINATIONS": '{"View er": {"host": "b", "port": 2}}',
        },
    )
    assert settings.policy.rules[0].target is not None
    assert str(settings.policy.rules[0].target) == "max_error=3"
    assert {title: (d.host, d.port) for title, d in settings.dimse.destinations.items()} == {
        "A": ("a", 1),
        "View er": ("b", 2),
    }


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MRIPACS_DIMSE__PRT", "1", "MRIPACS_DIMSE__PRT: unknown key; known here: host, port, ae_title"),
        (
            "MRIPACS_PORT",
            "1",
            "MRIPACS_PORT: unknown section; known: archive, dimse, web, preview, limits, log, policy",
        ),
        ("MRIPACS_DIMSE", "{}", "MRIPACS_DIMSE: unknown key"),
        ("MRIPACS_DIMSE__DESTINATIONS__A__PORT", "1", "unknown key"),
        ("MRIPACS_DIMSE__DESTINATIONS", "{'A'", "MRIPACS_DIMSE__DESTINATIONS = \"{'A'\": allowed is JSON"),
        ("MRIPACS_DIMSE__DESTINATIONS", "[1]", "dimse.destinations = [1]: allowed is table"),
        ("MRIPACS_DIMSE__PORT", "many", "dimse.port = 'many': allowed is integer from 0 to 65535"),
        ("MRIPACS_DIMSE__PORT", "", "dimse.port = '': allowed is integer from 0 to 65535"),
        ("mripacs_log__level", "loud", 'log.level = \'loud\': allowed is "DEBUG" or "INFO"'),
    ],
)
def test_wrong_environment_is_refused(refusal, variable: str, value: str, words: str) -> None:
    assert words in refusal(environment={variable: value})


# --- file -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[dimse]\nport = 65536", "dimse.port = 65536: allowed is integer from 0 to 65535"),
        ("[dimse]\nport = -1", "dimse.port = -1: allowed is integer from 0 to 65535"),
        ("[dimse]\nidle_timeout_s = 0", "dimse.idle_timeout_s = 0: allowed is number above 0 to 86400"),
        ("[dimse]\nidle_timeout_s = nan", "dimse.idle_timeout_s = nan: allowed is number above 0 to 86400"),
        ("[dimse]\nhost = ''", "dimse.host = '': allowed is text, not empty"),
        ("dimse = 5", "dimse = 5: allowed is table"),
        ("[limits]\nmax_samples = 0", "limits.max_samples = 0: allowed is integer from 1"),
        ("[archive]\nidentity = 'new'", "archive.identity = 'new': allowed is \"derive\" or \"keep\""),
        ("[archive]\nrewrite_references = 'maybe'", "archive.rewrite_references = 'maybe': allowed is true or false"),
        ("[archive]\ndirectory = 1", "archive.directory = 1: allowed is path"),
        ("[dimse]\nprt = 104", "dimse.prt: unknown key; known here: host, port, ae_title"),
        ("[dicom]\n", "dicom: unknown key; known here: archive, dimse, web, preview, limits, log, policy"),
        ("[dimse.destinations.A]\nhost = 'a'", "dimse.destinations.A.port: must be given; allowed is integer from 1"),
        ("[dimse.destinations.A]\nhost = 'a'\nport = 1\nae = 2", "dimse.destinations.A.ae: unknown key; known here"),
        ("[dimse.destinations.'A\\B']\nhost = 'a'\nport = 1", "allowed is 1 to 16 printable ASCII characters"),
        ("policy.rules = 5", "policy.rules = 5: allowed is list of table"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'all'", "policy.rules.0.keep = 'all': allowed is \"kwavelet\" or"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'kwavelet'", "policy.rules.0: keep = 'kwavelet' takes exactly one of"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'lossless'\nk = 3", "policy.rules.0: keep = 'kwavelet' takes exactly"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'kwavelet'\nk = 3\nmax_error = 3", "takes exactly one of"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'kwavelet'\nrel_error = 0.6", "allowed is number above 0 to 0.5"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'lossless'\nwhen.modality = 'MR'", "when.modality = 'MR': allowed is"),
        ("[[policy.rules]]\nname = 'x'\nkeep = 'lossless'\nwhen.has = [1]", "when.has.0 = 1: allowed is text"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_key_value_and_range(refusal, toml: str, words: str) -> None:
    message = refusal(toml)
    assert words in message
    assert "site.toml" in message


def test_every_problem_is_told_at_once(refusal) -> None:
    message = refusal("[dimse]\nport = -1\n[log]\nlevel = 'x'")
    assert "dimse.port = -1" in message
    assert "log.level = 'x'" in message


def test_a_wrong_table_in_the_file_is_not_hidden_by_a_flag(refusal) -> None:
    assert "dimse = 5" in refusal("dimse = 5", {"dimse": {"port": 104}})


def test_passwords_are_not_repeated(refusal) -> None:
    message = refusal("[archive]\ndatabase_url = 'mysql://node:se/cr@t@db/x'\ndatabase_password = 'hunter2'")
    assert (
        "archive.database_url = 'mysql://***@db/x': allowed is URL that begins with sqlite:// or postgresql://"
        in message
    )
    assert "hunter2" not in message


@pytest.mark.parametrize("content", [b"[dimse\nport = 1", b"port = ", b"\xff\xfe", b"[dimse]\nport = 1\nport = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"site\.toml cannot be read: .+"):
        load_settings(path, environment={})


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml does not exist"):
        load_settings(tmp_path / "none.toml", environment={})
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path, environment={})


# --- single keys ----------------------------------------------------------------------------------------------------

VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "\\")


@given(st.text(VISIBLE + " ", max_size=20))
def test_application_entity_titles_follow_the_standard(title: str) -> None:
    """PS3.5 6.2: at most 16 characters; outer spaces are not significant, all spaces mean no title."""
    valid = 1 <= len(title) <= 16 and title == title.strip(" ")
    try:
        accepted = DimseSettings(ae_title=title).ae_title == title
    except ValueError:
        accepted = False
    assert accepted is valid


@pytest.mark.parametrize("title", ["A\\B", "A\nB", "NODE\n", "Knöchel", "A\x7f"])
def test_titles_of_other_characters_are_refused(title: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        DimseSettings(ae_title=title)


@pytest.mark.parametrize(
    ("archive", "url"),
    [
        ({}, "sqlite:///mripacs-data/mripacs.db"),
        ({"directory": "/srv/images"}, "sqlite:////srv/images/mripacs.db"),
        ({"database_url": "sqlite://"}, "sqlite://"),
        ({"database_url": "postgresql://u:p@h/d"}, "postgresql+psycopg://u:p@h/d"),
        ({"database_url": "postgresql+psycopg://u:p@h/d?sslmode=require"}, "postgresql+psycopg://u:p@h/d?sslmode=require"),
    ],
)  # fmt: skip
def test_database_url(load, archive: dict[str, str], url: str) -> None:
    assert load(flags={"archive": archive}).database_url == url


@pytest.mark.parametrize("url", ["postgres://h/d", "sqlite", "mysql://h/d", "x postgresql://h/d", ""])
def test_other_databases_are_refused(refusal, url: str) -> None:
    assert "archive.database_url" in refusal(flags={"archive": {"database_url": url}})

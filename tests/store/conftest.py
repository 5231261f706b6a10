"""The server for the PostgreSQL half of the suite, and readable failures of the shared suite."""

import pytest

pytest.register_assert_rewrite(
    "tests.store.suite",
    "tests.store.query_suite",
    "tests.store.deletion_suite",
    "tests.store.conflict_suite",
    "tests.store.fixity_suite",
    "tests.store.backup_suite",
    "tests.store.commitment_suite",
    "tests.store.repacking_suite",
    "tests.store.upgrade_suite",
    "tests.store.name_suite",
    "tests.store.reference_suite",
)

from tests.postgres import new_postgres_database, postgres_server  # noqa: E402 - after the rewrite is asked for

__all__ = ["new_postgres_database", "postgres_server"]

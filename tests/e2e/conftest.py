"""Nodes as processes, and DCMTK's receivers beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.dcmtk import StoreScp, free_port
from tests.e2e.node_process import NodeProcess
from tests.e2e.whole_node import WholeNode, fill
from tests.postgres import new_postgres_database, postgres_server

__all__ = ["new_postgres_database", "postgres_server"]  # fixtures of others

StartNode = Callable[..., NodeProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives a running node."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@contextmanager
def running(folder: Path, **options: object) -> Iterator[NodeProcess]:
    """A node that is ended in order, whose log names no patient; the log is shown when the test fails."""
    node = NodeProcess(folder, **options).start()  # type: ignore[arg-type]
    try:
        yield node
    finally:
        if node.process is not None:
            node.stop()
        print(f"--- log of the node in {folder}\n{node.log[-4000:]}")
    assert node.patients_in_log() == set()
    assert "Traceback" not in node.log
    assert "a handler failed" not in node.log


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    """`start_node(name, config=TOML, workers=1)` is a running node that lives as long as the test."""
    open_nodes = []

    def start(name: str = "node", **options: object) -> NodeProcess:
        context = running(tmp_path / name, **options)
        open_nodes.append(context)
        return context.__enter__()

    yield start
    for context in reversed(open_nodes):
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests that bring objects of their own and disturb nobody's; objects up to 4 MiB."""
    config = "[limits]\nmax_object_bytes = 4194304\n"
    with running(tmp_path_factory.mktemp("shared"), config=config) as node:
        yield node


@pytest.fixture(scope="session")
def whole_node(
    tmp_path_factory: pytest.TempPathFactory, dev_files: list[Path], shared_data: Path
) -> Iterator[WholeNode]:
    """One node that holds every file of dev and a sample of train, sent by DCMTK. Tests only read from it."""
    folder = tmp_path_factory.mktemp("whole")
    everything, implicit_only = (
        StoreScp.start(folder / name, free_port(), *options)
        for name, options in {"ALL": ("+xa",), "IMPLICIT": ("+xi",)}.items()
    )
    destinations = {"ALL": everything.port, "IMPLICIT": implicit_only.port, "NOBODY": free_port()}
    config = "".join(
        f'[dimse.destinations.{title}]\nhost = "127.0.0.1"\nport = {port}\n' for title, port in destinations.items()
    )
    try:
        with running(folder / "node", config=config, workers=2) as node:
            train = sorted((shared_data / "train").rglob("*.dcm"))[::100]
            yield fill(node, folder, dev_files + train, everything, implicit_only)
    finally:
        everything.stop()
        implicit_only.stop()

"""Previews in an archive: made after storing, by the active model, made anew after another is activated."""

from __future__ import annotations

import logging
import os
import threading

import numpy as np
import pytest
from sqlalchemy import text

from mripacs.archive import Archive
from mripacs.core.errors import DamagedInstanceError, ModelError
from mripacs.core.model import ModelState
from mripacs.core.settings import load_settings
from mripacs.models import model_file
from mripacs.models.model import PreviewModel
from mripacs.previews import Previews
from mripacs.store import Store
from tests import real_parts
from tests.models.slices_to_learn import head


def settings_of(folder, **preview: object):
    return load_settings(
        flags={"archive": {"directory": folder}, "preview": {"codec": "sae", **preview}}, environment={}
    )


def another_model() -> PreviewModel:
    changed = {**model_file.default().tensors}
    changed["network.tail.bias"] = changed["network.tail.bias"] + np.float16(0.001)
    return PreviewModel(changed, model_file.default().card)


@pytest.fixture
def archive(tmp_path):
    with Archive.open(settings=settings_of(tmp_path, rate=1000)) as archive:
        yield archive


@pytest.fixture
def stored(archive, shared_data) -> list[str]:
    return [archive.store(file).sop_instance_uid for file in head(shared_data)[8:11]]


def work(archive: Archive) -> None:
    """Everything that is to do now."""
    ended = threading.Event()
    while archive._previews.work(ended):
        pass


def test_fresh_instances_get_one(archive, stored, shared_data) -> None:
    assert archive.preview(stored[0]) is None
    work(archive)
    for uid in stored:
        preview = archive.preview(uid)
        assert (preview.label, preview.codec, preview.version) == ("preview", "sae", 1)
        assert preview.payload_bytes <= 400
        assert preview.grey.shape == (128, 128)
        original = archive.image(uid).frames[0]
        small = original.reshape(128, 2, 128, 2).mean((1, 3)).ravel()
        assert np.corrcoef(preview.grey.ravel(), small)[0, 1] > 0.95
    received_as = archive.identify(stored[0]).original_sop_instance_uid
    assert archive.preview(received_as).sop_instance_uid == stored[0]


def test_those_that_were_stored_while_nobody_made_any_get_one_too(archive, stored, tmp_path) -> None:
    with Archive.open(settings=settings_of(tmp_path, rate=1000)) as later:
        work(later)
        assert all(later.preview(uid) for uid in stored)


def test_the_thread_makes_them_and_ends(archive, stored) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=archive.make_previews, args=(ended,))
    thread.start()
    for _ in range(400):
        if archive.preview(stored[-1]) is not None:
            break
        ended.wait(0.05)
    ended.set()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert archive.preview(stored[-1]) is not None


def test_a_preview_is_never_the_instance(archive, stored) -> None:
    before = archive.fetch_encoded(stored[0])
    work(archive)
    assert archive.fetch_encoded(stored[0]) == before
    assert archive.statistics().instances == 3


def test_deleting_an_instance_deletes_its_preview(archive, stored) -> None:
    work(archive)
    archive.delete(instance=stored[0])
    assert archive.preview(stored[0]) is None
    assert archive.models.model(1).previews == 2


def test_objects_without_a_picture_are_asked_once(archive, shared_data) -> None:
    cut_off = next(file for file in real_parts.files_below(shared_data / "dev") if file.name == "MR_truncated.dcm")
    uid = archive.store(cut_off).sop_instance_uid
    work(archive)
    assert archive.preview(uid) is None
    assert archive.models.version_of(uid) == 1
    assert not archive.models.lacking(1, (), 0, 10)


def test_other_modalities_and_off_get_none(shared_data, tmp_path) -> None:
    for folder, preview in (("ct", {"modalities": ["CT"]}), ("off", {"codec": "off"})):
        with Archive.open(settings=settings_of(tmp_path / folder, **preview)) as archive:
            uid = archive.store(head(shared_data)[8]).sop_instance_uid
            if folder == "off":
                archive.make_previews(threading.Event())
            else:
                work(archive)
            assert archive.preview(uid) is None


def test_without_a_model_one_line_says_so_and_storing_goes_on(archive, shared_data, monkeypatch, caplog) -> None:
    def missing() -> bytes:
        raise ModelError("this installation of mripacs lacks its preview model: install it again")

    monkeypatch.setattr(model_file, "default_bytes", missing)
    monkeypatch.setattr(model_file, "default", missing)
    with caplog.at_level(logging.INFO, "mripacs.previews"):
        archive.make_previews(threading.Event())
    assert [record.getMessage() for record in caplog.records] == [
        "no previews are made: this installation of mripacs lacks its preview model: install it again"
    ]
    assert archive.preview(archive.store(head(shared_data)[8]).sop_instance_uid) is None


def test_another_model_makes_them_anew_in_every_node(archive, stored, tmp_path) -> None:
    work(archive)
    other = another_model()
    second = archive.models.add_model("other", other.digest, other.card, model_file.to_bytes(other))
    with Archive.open(settings=settings_of(tmp_path, rate=1000)) as node:
        work(node)
        assert {node.preview(uid).version for uid in stored} == {1}
        assert archive.models.activate(second) == second
        assert {node.preview(uid).version for uid in stored} == {1}  # still shown, by the model that made them
        work(node)
        assert {archive.preview(uid).version for uid in stored} == {second}
        assert node.models.active_version() == archive.models.active_version() == second


def test_a_node_that_ends_leaves_the_rest_for_later(archive, stored) -> None:
    ended = threading.Event()
    ended.set()
    archive._previews.work(ended)
    assert sum(archive.preview(uid) is not None for uid in stored) <= 1  # of a page, none of what came last
    work(archive)
    assert all(archive.preview(uid) for uid in stored)


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="no nice values on this system")
def test_a_process_of_their_own_makes_them_and_gives_way(tmp_path, shared_data, monkeypatch) -> None:
    with Archive.open(settings=settings_of(tmp_path), workers=1) as archive:
        uid = archive.store(head(shared_data)[8]).sop_instance_uid
        work(archive)
        assert archive.preview(uid) is not None
        own = archive._previews._own_workers
        assert own.run(nice_value, 0) > archive._workers.run(nice_value, 0)


def nice_value(_: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_what_was_begun_is_finished_after_a_kill(archive, stored) -> None:
    work(archive)
    other = another_model()
    second = archive.models.add_model("other", other.digest, other.card, model_file.to_bytes(other))
    archive.models.activate(second)
    ended = threading.Event()
    ended.set()
    archive._previews.work(ended)  # one, and then it was ended
    assert len(archive.models.lacking(second, ("MR",), 0, 10)) == 2
    fresh = Previews(archive._store, archive._workers, archive.settings.preview)
    while fresh.work(threading.Event()):
        pass
    assert not archive.models.lacking(second, ("MR",), 0, 10)


def test_a_flipped_bit_in_a_preview_is_found(archive, stored) -> None:
    work(archive)
    with archive._store._writing() as connection:
        connection.execute(text("UPDATE preview SET data = zeroblob(100)"))
    with pytest.raises(DamagedInstanceError):
        archive.preview(stored[0])


class TestModels:
    """Versions and states in the database."""

    @pytest.fixture
    def models(self, tmp_path):
        with Store.open(f"sqlite:///{tmp_path / 'models.db'}") as store:
            yield store.previews

    def test_versions_and_states(self, models) -> None:
        first, second = (models.add_model(name, name * 8, {"seed": 1}, b"data") for name in ("a", "b"))
        assert models.add_model("again", "a" * 8, {}, b"other") == first
        assert models.active_version() is None
        assert models.activate(first) == first
        assert models.activate(second, unless_another=True) == first
        assert models.activate(second) == second
        assert [each.state for each in models.list_models()] == [ModelState.READY, ModelState.ACTIVE]
        with pytest.raises(ModelError, match="is active"):
            models.retire(second)
        models.retire(first)
        with pytest.raises(ModelError, match="is retired"):
            models.activate(first)
        assert models.active_version() == second

    def test_unknown_versions(self, models) -> None:
        for call in (models.activate, models.retire, models.model, models.model_data):
            with pytest.raises(ModelError, match="version 9"):
                call(9)

    def test_two_that_activate_at_once_leave_one_active(self, models) -> None:
        versions = [models.add_model(name, name * 8, {}, b"data") for name in "abcdefgh"]
        threads = [threading.Thread(target=models.activate, args=(version,)) for version in versions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        active = [each for each in models.list_models() if each.state is ModelState.ACTIVE]
        assert [each.version for each in active] == [models.active_version()]

    def test_a_preview_of_what_is_not_there(self, models) -> None:
        version = models.add_model("a", "a" * 8, {}, b"data")
        assert not models.save_preview("1.2.3", version, b"data")
        assert models.preview("1.2.3") is None

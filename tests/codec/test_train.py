"""Making the coder's tables: what is learnt on some slices saves bytes on others."""

from __future__ import annotations

import numpy as np
import pytest

from mripacs.codec.kwavelet import fast_coder, fast_tables, fast_train, train
from mripacs.codec.kwavelet.tables import Tables, untrained
from tests.codec.images import phantom


@pytest.fixture(scope="module")
def trained() -> Tables:
    return train.train([phantom(64, seed) for seed in range(1, 7)], passes=1)


def test_trained_tables_code_an_unseen_slice_in_fewer_bytes(trained: Tables) -> None:
    unseen = train.quantised_frames([phantom(64, 99)], seed=3)
    before, after = (train.coded_size(tables, unseen) for tables in (untrained(train.RATE), trained))
    assert after < 0.9 * before


def test_training_is_repeatable(trained: Tables) -> None:
    again = train.train([phantom(64, seed) for seed in range(1, 7)], passes=1)
    assert again.to_bytes() == trained.to_bytes()


def test_tables_survive_their_file(trained: Tables) -> None:
    read = Tables.from_bytes(trained.to_bytes())
    for name in Tables.__slots__:
        np.testing.assert_array_equal(getattr(read, name), getattr(trained, name))


def test_images_are_found_in_folders_and_spread_evenly(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.stack([phantom(32, seed) for seed in range(4)]))
    np.save(tmp_path / "b.npy", phantom(32, 9))
    np.save(tmp_path / "constant.npy", np.zeros((32, 32), np.uint16))
    assert len(train.load_images([tmp_path])) == 5
    first, last = train.load_images([tmp_path], 2)
    np.testing.assert_array_equal(first, phantom(32, 0))
    np.testing.assert_array_equal(last, phantom(32, 9))


def test_the_command_writes_a_table_file(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.stack([phantom(64, seed) for seed in range(6)]))
    train.main([str(tmp_path / "tables.npz"), str(tmp_path)])
    assert "6 slices" in capsys.readouterr().out
    assert Tables.from_bytes((tmp_path / "tables.npz").read_bytes()).rate == train.RATE


def test_training_makes_the_fast_coder_smaller() -> None:
    frames = train.quantised_frames([phantom(64, seed) for seed in range(12)])
    tables = fast_train.train(frames[:9], passes=1)
    trained = sum(len(fast_coder.encode(frame, tables)) for frame in frames[9:])
    assert trained < 0.9 * sum(len(fast_coder.encode(frame, fast_tables.untrained())) for frame in frames[9:])
    again = fast_train.train(frames[:9], passes=1)
    assert again.to_bytes() == tables.to_bytes()

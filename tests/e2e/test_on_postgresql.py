"""Import, fetch and verify with PostgreSQL as the database, by its URL alone."""

from __future__ import annotations

import numpy as np
from pydicom import dcmread

import mripacs


def test_import_fetch_and_verify_on_postgresql(new_postgres_database, train_sample):
    settings = mripacs.load_settings(flags={"archive": {"database_url": new_postgres_database()}}, environment={})
    with mripacs.Archive.open(settings=settings) as archive:
        receipts = [outcome for _, outcome in archive.store_many((str(path), path) for path in train_sample)]
        assert len({receipt.sop_instance_uid for receipt in receipts}) == len(train_sample)
        for path, receipt in zip(train_sample, receipts, strict=True):
            before, after = (
                each.pixel_array.astype(float) for each in (dcmread(path), archive.fetch(receipt.sop_instance_uid))
            )
            assert np.linalg.norm(before - after) <= 0.05 * np.linalg.norm(before)
        checked = dict(archive.verify())
        assert {uid for uid in checked if uid} == {receipt.sop_instance_uid for receipt in receipts}
        assert [found for found in checked.values() if found] == []

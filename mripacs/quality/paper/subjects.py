"""Who is trained on and who is judged by: never the same subject (section II sets one brain aside)."""

from __future__ import annotations

from collections.abc import Sequence

from mripacs.core.errors import SettingsError
from mripacs.quality.slices import Slice


def split(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Training slices and the held-out subject's: the study with the fewest slices of at least two, else the last one.

    Deterministic. Raises SettingsError when all slices are of one study.
    """
    studies = sorted({each.study_instance_uid for each in slices})
    if len(studies) < 2:
        raise SettingsError("all images are of one study: nobody is left to judge by; name another folder with --train")
    sizes = {uid: sum(each.study_instance_uid == uid for each in slices) for uid in studies}
    held_out = min(studies, key=lambda uid: (sizes[uid] < 2, sizes[uid], uid))
    chosen = [each for each in slices if each.study_instance_uid == held_out]
    return [each for each in slices if each.study_instance_uid != held_out], chosen

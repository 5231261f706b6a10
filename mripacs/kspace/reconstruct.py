"""k-space to a magnitude image, by fastmri's own functions: centred inverse FFT, magnitude, root sum of squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import SettingsError

INSTALL = "k-space needs torch and fastmri: pip install 'mripacs[fastmri]' && pip install --no-deps fastmri==0.3.0"


def reconstruct(kspace: NDArray[np.complex64], rows: int, columns: int) -> NDArray[np.float32]:
    """The magnitude image of one slice, cropped about its centre to at most (rows, columns).

    kspace : (coils, readout, phase) complex64; lines that were not acquired are zero. The image is `rss` over the coils
    of `complex_abs` of `ifft2c`, to fastMRI's own float precision. Raises SettingsError without torch or fastmri.
    """
    try:
        import torch  # noqa: PLC0415 - an extra, 1.6 s to import
        from fastmri import complex_abs, ifft2c, rss  # noqa: PLC0415 - as torch
    except ImportError as error:
        raise SettingsError(INSTALL) from error
    image = ifft2c(torch.view_as_real(torch.from_numpy(np.ascontiguousarray(kspace))))
    magnitude: NDArray[np.float32] = rss(complex_abs(image)).numpy()
    return crop(magnitude, rows, columns)


def crop(image: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """The middle of an image, as fastMRI's center_crop takes it; a side that is smaller stays whole."""
    height, width = min(rows, image.shape[-2]), min(columns, image.shape[-1])
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[..., top : top + height, left : left + width]

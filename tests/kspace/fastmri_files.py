"""fastMRI-format files made of real images: times smooth coil maps, transformed, with complex noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests import real_parts

INSTALL = "`make learned` installs it"
h5py = real_parts.module("h5py", INSTALL)

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <studyInformation><studyDate>2019-03-04</studyDate><studyTime>10:11:12</studyTime></studyInformation>
  <measurementInformation><protocolName>AX T2</protocolName><patientPosition>HFS</patientPosition>
  </measurementInformation>
  <acquisitionSystemInformation><systemVendor>SIEMENS</systemVendor><systemModel>Skyra</systemModel>
    <systemFieldStrength_T>2.893620</systemFieldStrength_T><receiverChannels>{coils}</receiverChannels>
    <institutionName>NYU</institutionName></acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123251815</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding>
    <encodedSpace><matrixSize><x>{readout}</x><y>{phase}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{encoded_view}</x><y>220</y><z>5</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>{rows}</x><y>{columns}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>220</x><y>220</y><z>5</z></fieldOfView_mm></reconSpace>
    <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center>
      </kspace_encoding_step_1></encodingLimits>
    <trajectory>cartesian</trajectory><echoTrainLength>18</echoTrainLength>
  </encoding>
  <sequenceParameters><TR>6000</TR><TE>113</TE><TI>100</TI><flipAngle_deg>150</flipAngle_deg></sequenceParameters>
</ismrmrdHeader>"""


def header_of(coils, readout, phase, rows, columns):
    """An ISMRMRD header as fastMRI's are; the readout is oversampled over a longer field of view."""
    return HEADER.format(
        coils=coils, readout=readout, phase=phase, rows=rows, columns=columns, last=phase - 1, centre=phase // 2,
        encoded_view=220 * readout / rows,
    )  # fmt: skip


def kspace_of(images, coils=4, noise=0.0, seed=1):
    """(slices, coils, 2 rows, columns) complex64 of images (slices, rows, columns): the readout oversampled twice."""
    rows, columns = images.shape[1:]
    rng = np.random.default_rng(seed)
    padded = np.pad(images.astype(np.float64), ((0, 0), (rows // 2, rows - rows // 2), (0, 0)))
    y, x = np.mgrid[-1 : 1 : 2 * rows * 1j, -1 : 1 : columns * 1j]
    angles = np.arange(coils) * 2 * np.pi / coils
    maps = np.stack([np.exp(-((x - np.cos(a)) ** 2 + (y - np.sin(a)) ** 2) + 1j * (a + x)) for a in angles])
    coil_images = padded[:, None] * maps
    coil_images += noise * (rng.standard_normal(coil_images.shape) + 1j * rng.standard_normal(coil_images.shape))
    shifted = np.fft.ifftshift(coil_images, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1)).astype(np.complex64)


def write_file(path: Path, kspace, rows, columns, *, mask=None, reconstruction=None, **attributes):
    """A fastMRI file; `kspace` of three axes makes a single-coil one."""
    coils = kspace.shape[1] if kspace.ndim == 4 else 1
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        file["ismrmrd_header"] = header_of(coils, *kspace.shape[-2:], rows, columns).encode()
        if mask is not None:
            file["mask"] = mask
        if reconstruction is not None:
            file["reconstruction_rss" if coils > 1 else "reconstruction_esc"] = reconstruction
        file.attrs.update({"acquisition": "AXT2", "patient_id": "ab12", "norm": 1.0, "max": 1.0} | attributes)
    return path

"""DICOM's dialect: bytes of data sets to offsets, index attributes, frames and back. The only room that imports pydicom."""

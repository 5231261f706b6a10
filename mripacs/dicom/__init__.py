"""DICOM's dialect: bytes of data sets to offsets, attributes, frames and back. Its decoders are called here only."""

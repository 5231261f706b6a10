"""Raw k-space of the fastMRI data set, made into MR series. Owns h5py and fastmri (extra `fastmri`, loads torch)."""

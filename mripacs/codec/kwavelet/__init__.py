"""Codec kwavelet: CDF 9/7 wavelet, dead-zone quantiser, context-modelled range coding, fixed points; in integers."""

"""A robot brain for Reachy Mini whose memory is budgeted, measured and given back."""

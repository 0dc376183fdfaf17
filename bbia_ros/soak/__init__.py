"""The soak: a real stack under random use and chaos for as long as you like, with its memory on record."""

"""The demonstration: a scripted visit in simulation, checked, recorded, filmed and reported."""

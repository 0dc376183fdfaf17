"""What every node shares: lifecycle base, parameters, QoS, diagnostics, images."""

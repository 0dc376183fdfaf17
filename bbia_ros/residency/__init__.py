"""Who is in memory: pool, ledger, worker processes, accounting. Knows nothing of ROS."""

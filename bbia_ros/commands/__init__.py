"""The sub-commands of `bbia`, one module each.

A module has SUMMARY (one line), `add_arguments(parser)` and `run(arguments) -> exit code`. It imports what it needs
inside `run`, so that `bbia --help` is quick.
"""

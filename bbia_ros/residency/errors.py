"""What can go wrong between asking a model something and getting the answer."""

from __future__ import annotations


class ResidencyError(Exception):
    """Base of every error of this package; its message is one sentence for the person who reads it."""


class AdmissionRefused(ResidencyError):
    """The model does not fit and nothing that may go would make enough room; the message names who holds what."""


class Outgrown(AdmissionRefused):
    """The model took more memory while it loaded than it was admitted with, there was no more, and it was ended.

    The message names how much it was admitted with, how much it had reached and who holds the rest. The next load asks
    for what it had reached.
    """


class LoadFailed(ResidencyError):
    """The engine could not be built: its constructor raised, or its worker did not start."""


class OutOfMemory(LoadFailed):
    """The system gave the engine no memory while it was being built, whatever the budget says."""


class ModelFailed(ResidencyError):
    """The model failed three times in a row and is not tried again until `Pool.reset`."""


class WorkerDied(ResidencyError):
    """The worker process ended while the model was in use; the next use starts it again."""


class CallTimeout(ResidencyError):
    """The call took longer than its timeout."""


class CallCancelled(ResidencyError):
    """The call was cancelled: `Lease.cancel`, `Lease.release`, `Stream.cancel`, or the pool let the model go."""


class LeaseReleased(ResidencyError):
    """The lease was used after it had been released, or after its pool was closed."""


class SpecConflict(ResidencyError):
    """A model of this name is held already, with other settings; or its worker is, by a model with other ones."""


class NotPicklable(ResidencyError):
    """Something that should cross to a worker cannot be pickled, or is too large."""


class NoSharedMemory(ResidencyError):
    """An array is too large to cross without shared memory, and the system has none left. The worker lives on."""


class LedgerError(ResidencyError):
    """The ledger file cannot be used: no permission, or another process keeps it locked."""


class ProcessGone(ResidencyError):
    """There is no process with this id (any more), or it may not be inspected."""


class UnknownVariant(ResidencyError):
    """A task was asked to use a model that is not one of its variants; the message lists them."""


class SwapFailed(ResidencyError):
    """The other model could not be taken into use; the message says why and which one is in use now."""


class SwapSuperseded(ResidencyError):
    """A later request for another model came before this one was carried out."""


class BeingSwapped(CallTimeout):
    """The call waited its timeout for the task's model to be exchanged; the next one may be answered."""


class EngineError(ResidencyError):
    """The engine's method raised. The worker and the model live on.

    Attributes:
        kind: Name of the exception's class in the worker, for example ``ValueError``.
        remote_traceback: The traceback in the worker, for the log at debug level.
    """

    def __init__(self, message: str, kind: str = "Exception", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.remote_traceback = remote_traceback

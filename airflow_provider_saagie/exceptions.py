"""The errors of this provider, all in one tree.

::

    SaagieError
    ├── SaagieConnectionError       Saagie could not be reached: name, network, proxy, TLS
    │   └── SaagieTimeout           it was reached, or might have been, and did not answer in time
    ├── SaagieAuthError             it refused the login, the token or the right to do this
    ├── SaagieApiError              it understood the request and said no (GraphQL errors)
    │   └── SaagieNotFound          a project, job, version, instance or platform that it doesn't know
    ├── SaagieProtocolError         what answered is no GraphQL answer: a web page, a redirect, half a body
    ├── SaagieOutcomeUnknown        a change was sent and its answer was lost: it may have happened
    ├── SaagieValidationError       bad input, found before anything was changed
    ├── SaagieInstanceFailed        an instance came to a bad end
    │   ├── SaagieJobFailed             the job's own fault
    │   ├── SaagieInfrastructureError   the platform's fault (evicted, image not pulled, ...)
    │   ├── SaagieOutOfMemory           it needed more memory than it may have
    │   ├── SaagieInvalidImage          its image's name is invalid: no retry mends that
    │   ├── SaagieInstanceKilled        somebody stopped it
    │   └── SaagieInstanceSkipped       the platform skipped it
    ├── SaagieAlreadyRunning        the job is on its way already, and the task is not to start another
    ├── SaagieWaitTimeout           it did not end in the time that we were told to wait
    └── SaagieInstanceGone          it no longer exists

Messages say which operation, on which host, what the platform said and what to do. None holds a password or a token.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "SaagieAlreadyRunning",
    "SaagieApiError",
    "SaagieAuthError",
    "SaagieConnectionError",
    "SaagieError",
    "SaagieInfrastructureError",
    "SaagieInstanceFailed",
    "SaagieInstanceGone",
    "SaagieInstanceKilled",
    "SaagieInstanceSkipped",
    "SaagieInvalidImage",
    "SaagieJobFailed",
    "SaagieNotFound",
    "SaagieOutOfMemory",
    "SaagieOutcomeUnknown",
    "SaagieProtocolError",
    "SaagieTimeout",
    "SaagieValidationError",
    "SaagieWaitTimeout",
]


class SaagieError(Exception):
    """Anything that goes wrong between Airflow and Saagie.

    :param message: what happened, in a sentence, and what to do about it.
    :param operation: the GraphQL operation, or ``"login"`` and the like; None where no request was involved.
    :param host: the platform's address, without credentials.
    """

    def __init__(self, message: str, *, operation: str | None = None, host: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.host = host

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the attributes: exceptions cross process borders in Airflow."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[SaagieError], args: tuple[Any, ...], state: dict[str, Any]) -> SaagieError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SaagieConnectionError(SaagieError):
    """Saagie could not be reached: the host's name, the network, the proxy or TLS."""


class SaagieTimeout(SaagieConnectionError):
    """Saagie did not answer within the connection's ``timeout``."""


class SaagieAuthError(SaagieError):
    """Saagie refused the login, the token, or the right to do this."""


class SaagieApiError(SaagieError):
    """Saagie understood the request and refused it.

    :param messages: the platform's own words, one per error.
    :param classification: what kind of refusal the platform calls it (``extensions.classification``), where it says.
    :param path: the field concerned, as the platform names it.
    :param status: the HTTP status, where that was the refusal.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        host: str | None = None,
        messages: tuple[str, ...] = (),
        classification: str | None = None,
        path: tuple[str | int, ...] = (),
        status: int | None = None,
    ) -> None:
        super().__init__(message, operation=operation, host=host)
        self.messages = messages
        self.classification = classification
        self.path = path
        self.status = status


class SaagieNotFound(SaagieApiError):
    """A project, job, version, instance or platform that Saagie doesn't know, or doesn't show to this login."""


class SaagieProtocolError(SaagieError):
    """What answered is no GraphQL answer: a web page, a redirect, half a body.

    :param status: the HTTP status of the answer.
    """

    def __init__(
        self, message: str, *, operation: str | None = None, host: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, operation=operation, host=host)
        self.status = status


class SaagieOutcomeUnknown(SaagieError):
    """A change was sent and its answer was lost, so it may have happened. The cause is chained (``__cause__``)."""


class SaagieValidationError(SaagieError, ValueError):
    """Bad input, found before anything was changed on the platform."""


class SaagieInstanceFailed(SaagieError):
    """A job instance came to a bad end. The kinds below say whose fault it was.

    :param instance_id: the instance.
    :param status: the instance's last status, such as ``"FAILED"``.
    :param reason: the platform's reason, such as ``"OUT_OF_MEMORY"``, where it gives one.
    :param details: the platform's details, where it gives any.
    :param stopped_by: the login that stopped it, where known.
    :param url: the instance's page in Saagie.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        host: str | None = None,
        instance_id: str | None = None,
        status: str | None = None,
        reason: str | None = None,
        details: str | None = None,
        stopped_by: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message, operation=operation, host=host)
        self.instance_id = instance_id
        self.status = status
        self.reason = reason
        self.details = details
        self.stopped_by = stopped_by
        self.url = url


class SaagieJobFailed(SaagieInstanceFailed):
    """The job itself failed: its code, its data, its exit code."""


class SaagieInfrastructureError(SaagieInstanceFailed):
    """The platform ended the instance: evicted, image not pulled, container not created, status lost."""


class SaagieOutOfMemory(SaagieInstanceFailed):
    """The instance needed more memory than its job may have."""


class SaagieInvalidImage(SaagieInstanceFailed):
    """The job's image has an invalid name: every run of this version will fail."""


class SaagieInstanceKilled(SaagieInstanceFailed):
    """Somebody, or something else than this task, stopped the instance."""


class SaagieInstanceSkipped(SaagieInstanceFailed):
    """The platform skipped the instance."""


class SaagieAlreadyRunning(SaagieError):
    """An instance of the job is on its way already, and the task is not to start another (``if_running``)."""


class SaagieWaitTimeout(SaagieError, TimeoutError):
    """An instance did not end in the time that we were told to wait for it.

    :param instance_id: the instance, which may go on running.
    """

    def __init__(
        self, message: str, *, operation: str | None = None, host: str | None = None, instance_id: str | None = None
    ) -> None:
        super().__init__(message, operation=operation, host=host)
        self.instance_id = instance_id


class SaagieInstanceGone(SaagieError):
    """An instance that was there no longer is: deleted, with its job perhaps."""

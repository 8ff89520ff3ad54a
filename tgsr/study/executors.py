"""Who fits: threads of this process, or the workers of a dask.distributed cluster."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from joblib import cpu_count
from threadpoolctl import threadpool_limits

from tgsr.errors import MissingDataError, TrackingError
from tgsr.stopping import clear_stop, request_stop, stop_requested
from tgsr.trials.fitter import Fitter
from tgsr.trials.folds import FoldFitter

if TYPE_CHECKING:
    from tgsr.datasets import DatabasePair
    from tgsr.trials.spec import StudySpec

__all__ = ["DaskExecutor", "Executor", "Work", "open_executor"]

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 60
_STOP_SECONDS = 5.0
"""So long a stop waits for threads that do not look at the flag, such as a method of one's own."""


@dataclass(frozen=True, eq=False)
class Work:
    """A call of a `Fitter`, which is prepared once wherever it is needed: ``call`` is the name of its method."""

    spec: StudySpec
    pair: DatabasePair
    rules: tuple[str, ...]
    call: str
    arguments: tuple[Any, ...]


class _Fitters:
    """The fitters of the studies under way, each prepared once, by whoever needs it first."""

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: dict[tuple[Any, ...], tuple[threading.Lock, list[Fitter | FoldFitter]]] = {}

    def do(self, work: Work, pair: DatabasePair) -> Any:
        with self._lock:
            making, made = self._made.setdefault((work.spec.name, work.rules), (threading.Lock(), []))
            while len(self._made) > self._most:  # the oldest study is finished by now, or is prepared again
                del self._made[next(iter(self._made))]
        with making:
            if not made:
                kind = FoldFitter if work.spec.sampler == "subjects" else Fitter
                made.append(kind(work.spec, pair, work.rules))
        return getattr(made[0], work.call)(*work.arguments)


class Executor:
    """Threads, one a core by default, with one BLAS thread each; the kernels release the interpreter's lock."""

    def __init__(self, jobs: int | None = None) -> None:
        self._jobs = jobs or cpu_count()
        self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="tgsr-fit")
        self._fitters = _Fitters()
        self._open: dict[Future[Any], Work] = {}

    @property
    def capacity(self) -> int:
        """Works that it should have at a time: twice the threads, so that none waits for the coordinator."""
        return 2 * self._jobs

    def submit(self, work: Work) -> None:
        """Begin a work."""
        self._open[self._pool.submit(self._fitters.do, work, work.pair)] = work

    def wait(self, timeout: float) -> Iterator[tuple[Work, Any]]:
        """Wait until some are done, or seconds have passed; gives them with their results, or raises their error."""
        for future in wait(self._open, timeout, FIRST_COMPLETED).done:
            yield self._open.pop(future), future.result()

    def close(self) -> None:
        """End; what is under way is stopped, and waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        running = {future for future in self._open if not future.done()}
        if not running:
            return
        was_requested = stop_requested()
        request_stop()
        wait(running, _STOP_SECONDS)
        if not was_requested:
            clear_stop()


class DaskExecutor(Executor):
    """The workers of a running dask.distributed scheduler, at an address such as ``tcp://host:8786``.

    The databases of a study reach a worker once, and what depends on them only is prepared once a worker. A worker
    that is lost is the scheduler's business.

    Raises
    ------
    MissingDataError
        If ``distributed`` is not installed.
    TrackingError
        If no scheduler answers, here or in a method.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingDataError("--scheduler needs dask.distributed: pip install 'tgsr[cluster]'") from error
        logging.getLogger("distributed").setLevel(logging.ERROR)
        self._address = address
        self._pairs: dict[str, Any] = {}
        self._open = {}
        with self._reached(OSError, ValueError):
            client: Any = distributed.Client
            self._client = client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        self._pool = self._client.get_executor(pure=False)

    @property
    def capacity(self) -> int:
        """Twice the cluster's threads."""
        with self._reached(OSError):
            threads: dict[str, int] = self._client.nthreads()
        return max(4, 2 * sum(threads.values()))

    def submit(self, work: Work) -> None:
        """See `Executor`."""
        key = f"{work.pair.source.digest}{work.pair.target.digest}"
        with self._reached(OSError), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            if key not in self._pairs:
                # the result of a task and not scattered: what a lost worker held is then made again by another
                self._pairs[key] = self._client.submit(_identity, work.pair, key=f"tgsr-data-{key}")
            bare = replace(work, pair=None)  # type: ignore[arg-type]  # the worker has it
            self._open[self._pool.submit(_do, bare, self._pairs[key])] = work

    def wait(self, timeout: float) -> Iterator[tuple[Work, Any]]:
        """See `Executor`."""
        with self._reached(CancelledError):
            yield from super().wait(timeout)

    def close(self) -> None:
        """Leave the cluster; what is under way there is dropped."""
        self._pairs.clear()
        self._open.clear()
        self._client.close(timeout=5)

    @contextmanager
    def _reached(self, *errors: type[Exception]) -> Iterator[None]:
        """Let what a scheduler leads to that is not there, or no longer, be one of ours."""
        try:
            yield
        except errors as error:
            raise TrackingError(
                f"no Dask scheduler answers at {self._address} ({error or type(error).__name__}); start one with "
                "`dask scheduler`; what is finished is stored, and the same command goes on"
            ) from error


def _identity(pair: DatabasePair) -> DatabasePair:
    return pair


_fitters = _Fitters()
"""Of a Dask worker's process."""


def _do(work: Work, pair: DatabasePair) -> Any:
    with threadpool_limits(limits=1, user_api="blas"):
        return _fitters.do(work, pair)


@contextmanager
def open_executor(scheduler: str | None = None, jobs: int | None = None) -> Iterator[Executor]:
    """Open an executor: a cluster's if a scheduler's address is given, else threads."""
    executor = DaskExecutor(scheduler) if scheduler else Executor(jobs)
    # BLAS's limit is the process's, so it is set once around all threads, and given back when they have ended
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            yield executor
        finally:
            executor.close()

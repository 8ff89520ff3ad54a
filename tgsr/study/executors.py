"""Who fits: threads of this process, or the workers of a dask.distributed cluster."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

from joblib import cpu_count
from threadpoolctl import threadpool_limits

from tgsr.trials.fitter import Fitter
from tgsr.errors import MissingDataError, TrackingError

if TYPE_CHECKING:
    from tgsr.trials.tasks import Task
    from tgsr.trials.spec import StudySpec
    from tgsr.datasets import DatabasePair
    from tgsr.trials.trial import Trial

__all__ = ["DaskExecutor", "Executor", "ThreadExecutor", "open_executor"]

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 60


class _Fitters:
    """The fitters of the studies under way, each prepared once, by whoever needs it first."""

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: dict[str, tuple[threading.Lock, list[Fitter]]] = {}

    def get(self, spec: StudySpec, pair: DatabasePair) -> Fitter:
        with self._lock:
            making, made = self._made.setdefault(spec.name, (threading.Lock(), []))
            while len(self._made) > self._most:  # the oldest study is finished by now, or is prepared again
                del self._made[next(iter(self._made))]
        with making:
            if not made:
                made.append(Fitter(spec, pair))
            return made[0]


class ThreadExecutor:
    """Threads, one a core by default, with one BLAS thread each; the kernels release the interpreter's lock.

    They are daemons, which ``concurrent.futures``' own are not: an interruption does not wait for what they compute.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._pool = ThreadPool(jobs or cpu_count())
        self._fitters = _Fitters()
        self.capacity = 2 * (jobs or cpu_count())
        """Tasks that it should have at a time: twice the threads, so that none waits for the coordinator."""

    def submit(self, spec: StudySpec, pair: DatabasePair, task: Task, keep: int | None) -> Future[list[Trial]]:
        """Begin a task."""
        future: Future[list[Trial]] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self._fitters.get(spec, pair).fit(task.numbers, task.settings, keep))
            except BaseException as error:
                future.set_exception(error)

        self._pool.apply_async(work)
        return future

    def wait(self, futures: set[Future[list[Trial]]], timeout: float) -> set[Future[list[Trial]]]:
        """Wait until one or more are done, or time is up; returns those."""
        return wait_for(futures, timeout, FIRST_COMPLETED).done

    def close(self) -> None:
        """End, without what has not ended."""
        self._pool.terminate()


class DaskExecutor:
    """The workers of a running dask.distributed scheduler, at an address such as ``tcp://host:8786``.

    The databases of a study reach a worker once, and what depends on them only is prepared once a worker. A worker
    that is lost is the scheduler's business; a scheduler that is lost and started again at its address is given anew
    what was under way.

    Raises
    ------
    MissingDataError
        If ``distributed`` is not installed.
    TrackingError
        If no scheduler answers.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._pairs: dict[str, Any] = {}
        self._submitted: dict[Future[list[Trial]], tuple[Any, tuple[Any, ...]]] = {}
        self._client: Any = None
        self._capacity = 4
        self._connect()

    @property
    def capacity(self) -> int:
        """Twice the cluster's threads, so that none waits for the coordinator."""
        with contextlib.suppress(OSError):  # lost: `wait` sees to it
            self._capacity = max(4, 2 * sum(self._client.nthreads().values()))
        return self._capacity

    def submit(self, spec: StudySpec, pair: DatabasePair, task: Task, keep: int | None) -> Future[list[Trial]]:
        """See `ThreadExecutor`."""
        future: Future[list[Trial]] = Future()
        arguments = (spec, pair, task, keep)
        try:
            self._submitted[future] = (self._send(*arguments), arguments)
        except OSError as error:
            self._submitted[future] = (None, arguments)  # sent with all others
            self._reconnect(error)
        return future

    def wait(self, futures: set[Future[list[Trial]]], timeout: float) -> set[Future[list[Trial]]]:
        """See `ThreadExecutor`."""
        import distributed

        wait_for_dask: Any = distributed.wait
        try:
            remote = [self._submitted[future][0] for future in futures]
            with self._client.as_current():
                done = wait_for_dask(remote, timeout=timeout, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = set()
        except Exception as error:  # its own classes, by what was lost first
            self._reconnect(error)
            return set()
        finished: set[Future[list[Trial]]] = set()
        for future in (future for future in futures if self._submitted[future][0] in done):
            handle = self._submitted[future][0]
            try:
                if handle.status == "error":
                    future.set_exception(handle.exception())
                else:
                    future.set_result(handle.result())
            except Exception as error:  # a result that was lost on its way
                self._reconnect(error)
                break
            del self._submitted[future]
            finished.add(future)
        return finished

    def close(self) -> None:
        """Leave the cluster; what is under way there is dropped."""
        self._pairs.clear()
        self._submitted.clear()
        self._client.close(timeout=5)

    def _connect(self) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingDataError("--scheduler needs dask.distributed: pip install 'tgsr[cluster]'") from error
        logging.getLogger("distributed").setLevel(logging.ERROR)
        try:
            client: Any = distributed.Client
            self._client = client(self._address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise TrackingError(
                f"no Dask scheduler answers at {self._address} ({error}); start one with `dask scheduler`; what is "
                "finished is stored, and the same command goes on"
            ) from error

    def _reconnect(self, error: Exception) -> None:
        """Connect anew, and hand over again what was under way."""
        _log.warning("the scheduler at %s was lost (%s); waiting for it", self._address, type(error).__name__)
        self._client.close(timeout=1)
        self._pairs.clear()
        self._connect()
        self._submitted = {
            future: (self._send(*arguments), arguments) for future, (_, arguments) in self._submitted.items()
        }

    def _send(self, spec: StudySpec, pair: DatabasePair, task: Task, keep: int | None) -> Any:
        key = f"{pair.source.digest}{pair.target.digest}"
        if key not in self._pairs:
            # the result of a task and not scattered: what a lost worker held is then made again by another
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                self._pairs[key] = self._client.submit(_identity, pair, key=f"tgsr-data-{key}")
        name = f"tgsr-{spec.name.rpartition(' ')[2]}-{task.numbers[0]}-{len(task.numbers)}"
        return self._client.submit(_fit, spec, self._pairs[key], task, keep, key=name)


def _identity(pair: DatabasePair) -> DatabasePair:
    return pair


_fitters = _Fitters()
"""Of a Dask worker's process."""


def _fit(spec: StudySpec, pair: DatabasePair, task: Task, keep: int | None) -> list[Trial]:
    with threadpool_limits(limits=1, user_api="blas"):
        return _fitters.get(spec, pair).fit(task.numbers, task.settings, keep)


Executor = ThreadExecutor | DaskExecutor


@contextmanager
def open_executor(scheduler: str | None = None, jobs: int | None = None) -> Iterator[Executor]:
    """Open an executor: a cluster's if a scheduler's address is given, else threads."""
    executor = DaskExecutor(scheduler) if scheduler else ThreadExecutor(jobs)
    try:
        # BLAS's limit is the process's, so it is set once around all threads
        with threadpool_limits(limits=1, user_api="blas"):
            yield executor
    finally:
        executor.close()

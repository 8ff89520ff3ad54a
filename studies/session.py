"""One process at work on a study: claim, fit, tell Optuna, mirror to MLflow, again until nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import optuna
from optuna.storages import BaseStorage

from studies.fitting import Fitted, Fitter
from studies.ledger import Claim, Ledger, SettingsLedger
from studies.method_fitting import MethodFitted, MethodFitter
from studies.method_spec import AnySpec, MethodSpec
from studies.owners import STALE_SECONDS, Watch
from tgsr.tracking.records import StudyRun
from tgsr.tracking.writers import TrialWriter

__all__ = ["Session", "default_batch", "make_sampler"]

_WAIT_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_TPE_BATCH = 8
_GRID_BATCH = 128
_METHOD_BATCH = 32


@dataclass
class Session:
    """What a process needs to work on a study, and where its time went.

    Attributes
    ----------
    spec : StudySpec or MethodSpec
    study : optuna.Study
    storage : BaseStorage
    fitter : Fitter or MethodFitter
    writer : TrialWriter
    run : StudyRun
        The study's MLflow run.
    n_trials : int or None
        Finished trials at which the study ends; None for the whole grid.
    batch : int
        Trials claimed, solved and written together.
    keep_all : bool
        Whether every trial's regression matrix is stored.
    seconds : dict
        Seconds by part: ``fit``, ``optuna``, ``track`` (while the next batch is solved), ``wait`` (for that).
    """

    spec: AnySpec
    study: optuna.Study
    storage: BaseStorage
    fitter: Fitter | MethodFitter
    writer: TrialWriter
    run: StudyRun
    n_trials: int | None
    batch: int
    keep_all: bool = True
    stale_seconds: float = STALE_SECONDS
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("fit", "optuna", "track", "wait"), 0.0))

    def __post_init__(self) -> None:
        kind = SettingsLedger if isinstance(self.spec, MethodSpec) else Ledger
        self.ledger = kind(self.study, self.storage, self.spec.space.distributions, Watch(self.stale_seconds))
        self.cells = self.spec.space.cells(self.n_trials) if self.spec.sampler == "grid" else []
        self.written = 0
        self.left_to_others = 0
        self._writing: Future[None] | None = None

    @property
    def total(self) -> int:
        """Finished trials that the study is to have."""
        return len(self.cells) if self.spec.sampler == "grid" else int(self.n_trials or 0)

    def finished(self) -> int:
        """Finished trials, of those that the study is to have."""
        if self.spec.sampler == "grid":
            return sum(self.ledger.is_done(cell) for cell in self.cells)
        return len(self.ledger.complete)

    def work(self, progress: Callable[[int], None], keep_going: Callable[[], bool] = lambda: True) -> None:
        """Run trials until the study has all, or ``keep_going`` says no.

        While a batch is solved, the one before is written. ``progress`` is called with the number of finished
        trials. Whatever ends it, nothing stays claimed, and what was told to Optuna is written.
        """
        with ThreadPoolExecutor(1) as pool:
            try:
                while keep_going():
                    with self._timed("optuna"):
                        claims = self._next()
                    if claims:
                        self._run(claims, pool)
                        progress(self.finished())
                    elif self._others_at_work():
                        progress(self.finished())
                        time.sleep(_WAIT_SECONDS)
                    else:
                        return
            finally:
                self.ledger.release()
                self._wait_for_writing()

    def _next(self) -> list[Claim]:
        self.ledger.beat()
        if self.spec.sampler == "grid":
            claims = self.ledger.claim(self.cells, self.batch)
            if not claims and self.ledger.reap():
                claims = self.ledger.claim(self.cells, self.batch)
            return claims
        self.ledger.refresh()
        self.ledger.reap()
        left = self.total - len(self.ledger.complete) - len(self.ledger.running)
        return self.ledger.ask(min(self.batch, left), self.total) if left > 0 else []

    def _others_at_work(self) -> bool:
        self.ledger.refresh()
        self.ledger.reap()
        wanted = self.total - self.finished()
        return wanted > 0 and bool(self.ledger.running)

    def _run(self, claims: Sequence[Claim], pool: ThreadPoolExecutor) -> None:
        with self._timed("fit"):
            fitted: Sequence[Fitted | MethodFitted] = self.fitter.fit_claims(claims)
        with self._timed("optuna"):
            # Optuna first: what it knows and MLflow does not is mirrored later, never the other way round
            told = self.ledger.tell(claims, [result.value for result in fitted])
            self.ledger.refresh()
        mine = [(claim.number, result) for claim, result, kept in zip(claims, fitted, told, strict=True) if kept]
        self._wait_for_writing()
        self._writing = pool.submit(self._write, mine)

    def _wait_for_writing(self) -> None:
        if self._writing is not None:
            with self._timed("wait"):
                writing, self._writing = self._writing, None
                writing.result()

    def mirror(self, progress: Callable[[int], None] = lambda _: None, *, wait: bool = True) -> int:
        """Give MLflow the finished trials that it lacks, deleted ones back as they were; returns how many.

        Trials that a living process has just finished are left to it (`left_to_others` counts them), unless writing
        one twice does no harm (the bulk way). It is given time if ``wait`` is set, as long as it gets on.
        """
        missing = self._missing()
        restored = self.writer.restore(self.run, missing)
        if restored:
            missing = self._missing()
        mine = self._left_to_me(missing)
        seen, given_up = len(missing), time.monotonic() + _PATIENCE_SECONDS
        while wait and mine != missing and time.monotonic() < given_up:
            time.sleep(_WAIT_SECONDS)
            missing = self._missing()
            mine = self._left_to_me(missing)
            if len(missing) < seen:
                seen, given_up = len(missing), time.monotonic() + _PATIENCE_SECONDS
        self.left_to_others = len(missing) - len(mine)
        self.writer.discard(mine)
        finished = self.ledger.complete
        for start in range(0, len(mine), self.batch):
            self.ledger.beat()
            numbers = mine[start : start + self.batch]
            with self._timed("fit"):
                fitted = self.fitter.fit([self.ledger.cell(finished[number].params) for number in numbers])
            self._write(list(zip(numbers, fitted, strict=True)))
            progress(start + len(numbers))
        return restored + len(mine)

    def _missing(self) -> list[int]:
        """Numbers of the trials that Optuna knows as finished and MLflow does not have."""
        self.ledger.refresh()
        finished = self.ledger.complete
        return sorted(set(finished) - self.writer.written(self.run, sorted(finished)))

    def _left_to_me(self, missing: list[int]) -> list[int]:
        return missing if self.writer.name == "bulk" else self.ledger.abandoned(missing)

    def _write(self, trials: Sequence[tuple[int, Fitted | MethodFitted]]) -> None:
        if trials:
            with self._timed("track"):
                records = [result.record(number, with_coef=self.keep_all) for number, result in trials]
                self.writer.write(self.run, records)
            self.written += len(records)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - started


def default_batch(spec: AnySpec, jobs: int) -> int:
    """Trials to take together: whole values of ξ, one a thread, or few where the sampler learns from each."""
    if spec.sampler == "tpe":
        return max(_TPE_BATCH, jobs)
    if isinstance(spec, MethodSpec):
        return 1 if spec.method == "TSRG" else _METHOD_BATCH  # one setting of TSRG takes as long as all of another's
    together = len(spec.space.kappas) if spec.sampler == "grid" else 1
    return jobs * together * max(1, round(_GRID_BATCH / jobs / together))


def make_sampler(spec: AnySpec, n_existing: int, salt: int = 0) -> optuna.samplers.BaseSampler:
    """Make the study's sampler.

    A sampler's random numbers are not stored with the study: the number of trials goes into the seed, so that a
    study that goes on does not draw the same cells again. ``salt`` keeps processes apart that join at the same time.
    """
    seed = (spec.seed * 1_000_003 + n_existing + salt) % 2**32
    if spec.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)

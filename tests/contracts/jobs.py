"""The contract of the jobs port: a run is started once, looked at and stopped, whatever runs it."""

from dataclasses import replace

import pytest

from core.ports.jobs import JobRun, JobRunner

RUN = JobRun("ns_1", "job_1", 1)
OTHERS = (replace(RUN, run=2), replace(RUN, job_id="job_2"), replace(RUN, namespace_id="ns_2"))


class JobRunnerContract:
    """Inherited by each adapter's tests; `runner`'s executions do not end by themselves."""

    @pytest.fixture
    def runner(self) -> JobRunner:
        """The adapter under test."""
        raise NotImplementedError

    def wait(self, runner: JobRunner, execution: str) -> None:
        """Return once a stopped execution has ended."""

    def test_a_run_that_was_started_runs(self, runner: JobRunner) -> None:
        assert runner.state(runner.start(RUN)) == "running"

    def test_starting_a_run_twice_starts_it_once(self, runner: JobRunner) -> None:
        first = runner.start(RUN)
        assert runner.start(RUN) == first
        assert runner.state(first) == "running"

    def test_every_run_has_an_execution_of_its_own(self, runner: JobRunner) -> None:
        started = [runner.start(run) for run in (RUN, *OTHERS)]
        assert len(set(started)) == len(started)
        runner.stop(started[0])
        self.wait(runner, started[0])
        assert [runner.state(one) for one in started] == ["stopped", *["running"] * len(OTHERS)]

    def test_a_stopped_run_stays_stopped(self, runner: JobRunner) -> None:
        execution = runner.start(RUN)
        runner.stop(execution)
        self.wait(runner, execution)
        assert runner.state(execution) == "stopped"
        runner.stop(execution)
        assert runner.state(execution) == "stopped"

    def test_an_execution_that_is_not_known_says_so_and_can_be_stopped(
        self, runner: JobRunner
    ) -> None:
        execution = runner.start(RUN) + "0"
        assert runner.state(execution) == "unknown"
        runner.stop(execution)
        assert runner.state(execution) == "unknown"

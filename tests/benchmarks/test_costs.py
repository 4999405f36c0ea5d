"""The cost model of sharded runs, and the simulation of rank failures."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.failures import CASES
from benchmarks.ranks.costs import Costs, Network, Step
from benchmarks.ranks.failures import Failures
from benchmarks.ranks.launch import launched
from benchmarks.ranks.workload import Workload

STEP = Step(fixed=0.01, each=1e-6, times=[1.0, 1.0, 1.3])
NETWORK = Network(latency=1e-5, bandwidth=1e9)


def test_bytes_are_those_that_two_ranks_send_and_hold():
    workload = Workload(subjects=4, vertices=16, free=True, drawn=(1, 4))
    costs = workload.costs(step=STEP, network=NETWORK)
    sizes = ("--subjects", 4, "--vertices", 16, "--drawn", 1, 4)
    options = ("--steps", 20, "--count", "--free")
    one = launched("benchmarks.ranks.worker", *sizes, *options, ranks=2)
    # After its last step a run asks once more whether a signal came, with eight bytes.
    assert one["bytes_per_step"] == pytest.approx(costs.bytes_per_step + 8 / 20)
    # Beside the formula, every weight has a count of its steps.
    assert 0 <= one["state_bytes"] - costs.state_bytes(2) < 100


def test_bytes_do_not_grow_with_the_cardinality():
    few, many = (
        Workload(subjects=n, free=True).costs(step=STEP, network=NETWORK) for n in (10, 10**6)
    )
    assert few.bytes_per_step == many.bytes_per_step
    assert many.state_bytes(1) == pytest.approx(64 * many.state_bytes(64), rel=0.01)


def test_a_network_is_found_again():
    microseconds = {n: 1e6 * NETWORK.reduce_seconds(n, 4) for n in (16, 10**4, 10**7)}
    found = Network.fitted(microseconds, ranks=4)
    assert found.latency == pytest.approx(NETWORK.latency)
    assert found.bandwidth == pytest.approx(NETWORK.bandwidth)


def test_a_step_is_found_again():
    seconds = {n: STEP.fixed + n * STEP.each for n in (64, 256, 2048)}
    found = Step.fitted(seconds, STEP.times)
    assert (found.fixed, found.each) == pytest.approx((STEP.fixed, STEP.each))


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_the_slowest_of_some_ranks(ranks):
    none = (2 / 3) ** ranks  # no rank has the slow step
    assert STEP.slowest(ranks) == pytest.approx(none * 1.0 + (1 - none) * 1.3)


def test_one_rank_sends_nothing():
    costs = Costs(weights=10, tables=[], drawn=100, step=STEP, network=NETWORK)
    assert costs.step_seconds(1) == pytest.approx((0.01 + 1e-4) * STEP.slowest(1))
    assert NETWORK.gather_seconds(100, 1) == NETWORK.reduce_seconds(100, 1) == 0


@pytest.mark.parametrize("interval", [5.0, 20.0, 100.0])
def test_simulated_runs_take_as_long_as_expected(interval):
    failures = Failures(between=600.0, ranks=10, checkpoint=2.0, restart=3.0)
    times = failures.simulated(500.0, interval, runs=4000, rng=np.random.default_rng(0))
    error = times.std() / len(times) ** 0.5
    assert abs(times.mean() - failures.expected(500.0, interval)) < 4 * error


def test_without_failures_a_run_takes_its_work_and_its_checkpoints():
    failures = Failures(between=1e12, ranks=2, checkpoint=2.0, restart=3.0)
    times = failures.simulated(105.0, 10.0, runs=3, rng=np.random.default_rng(0))
    assert times == pytest.approx(105.0 + 11 * 2.0)


@pytest.mark.parametrize("name", CASES)
def test_young_is_close_to_the_best(name):
    failures = CASES[name]
    work = 100 * failures.best_interval()
    taus = np.geomspace(failures.best_interval() / 5, failures.best_interval() * 5, 101)
    best = min(failures.expected(work, tau) for tau in taus)
    assert failures.expected(work, failures.best_interval()) / work < best / work + 0.01

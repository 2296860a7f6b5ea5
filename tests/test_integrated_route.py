"""Counts of cells drawn without frames against frames added up: mean, variance, correlation."""

from dataclasses import replace

import numpy as np
import pytest
from cells import COARSE, beam, default_cell, detector, discs, experiment, scan_plan

from xrdct_sim.instrument.effects import Effects
from xrdct_sim.recover.binning import BinningSettings, RingWindow, make_binning
from xrdct_sim.recover.counting import cell_counts
from xrdct_sim.simulate.integrated import integrated_counts
from xrdct_sim.simulate.run import ORDERS, SimulatedScan

PANEL = detector("Pilatus100k", binning=4, distance_mm=200.0)
BINS = BinningSettings(
    q_min_per_A=0.9,
    q_max_per_A=7.0,
    n_q=40,
    n_azimuth=8,
    rings={"003": RingWindow(q_per_A=(1.2, 1.5), background_per_A=((0.95, 1.1), (1.6, 1.9)))},
)
SILENT = replace(Effects(), noise=False)
ROUGH = replace(
    COARSE, depth_step_mm=0.4, texture_depth_bins=2, texture_tolerance=0.1, texture_azimuths=40
)
REPEATS = 600


def partition(simulated):
    return make_binning(simulated.info(), BINS)


def drawn(simulated, binning):
    """Counts of all frames' cells without frames."""
    return integrated_counts(simulated, binning.cell_of_pixel, binning.n_cells)


def added_up(simulated, binning):
    """Counts of all frames' cells from frames."""
    return cell_counts(simulated.scan(), binning)


@pytest.mark.parametrize("order", ORDERS)
def test_means_of_a_textured_coin_cell_are_sums_over_pixels(order):
    scan = scan_plan(7, 1.2, 3, order=order, heights_mm=np.array([0.0, 0.02]))
    simulated = SimulatedScan(experiment(default_cell(), scan, SILENT, ROUGH, panel=PANEL))
    binning = partition(simulated)
    counts = drawn(simulated, binning)
    assert counts.shape == (7 * 3 * 2, binning.n_cells)
    cell = binning.cell_of_pixel.ravel()
    used = cell >= 0
    for frame in range(len(counts)):
        image = simulated.expected(frame).astype(float).ravel()
        sums = np.bincount(cell[used], image[used], minlength=binning.n_cells)
        # frames are in single precision, 6e-8 each step
        np.testing.assert_allclose(counts[frame], sums, rtol=1e-6)
    np.testing.assert_allclose(counts, added_up(simulated, binning), rtol=1e-6)


def test_gaps_and_unused_pixels_count_for_no_cell():
    phantom, scan = discs((0.0, 0.0, 0.4), material="Al"), scan_plan(2, 0.3, 1)
    made = experiment(phantom, scan, SILENT, panel=PANEL)
    gaps = np.zeros(made.detector.shape, bool)
    gaps[10:20] = True
    whole, holed = SimulatedScan(made), SimulatedScan(replace(made, gaps=gaps))
    cell = np.where(np.arange(gaps.size).reshape(gaps.shape) % 3 == 0, -1, 0)
    cell[:, 60:] += cell[:, 60:] == 0  # two cells: left, right
    for simulated in (whole, holed):
        counts = integrated_counts(simulated, cell, 2)
        for frame in range(2):
            image = simulated.expected(frame).astype(float)
            sums = [image[cell == k].sum() for k in (0, 1)]
            np.testing.assert_allclose(counts[frame], sums, rtol=1e-6)  # single precision
    lost = integrated_counts(whole, cell, 2) - integrated_counts(holed, cell, 2)
    assert np.all(lost > 0)


@pytest.fixture(scope="module", params=[5e11, 3e7], ids=["bright", "dim"])
def repeated(request):
    """The same ray of the coin cell, many times, by both routes, and the exact means."""
    scan = scan_plan(translations_mm=np.zeros(REPEATS), rotations_rad=np.zeros(1))
    source = beam(flux_per_s=request.param)
    values = {"accuracy": ROUGH, "source": source, "panel": PANEL}
    simulated = SimulatedScan(experiment(default_cell(), scan, **values))
    binning = partition(simulated)
    mean = np.bincount(
        binning.cell_of_pixel[binning.cell_of_pixel >= 0],
        simulated.expected(0)[binning.cell_of_pixel >= 0].astype(float),
        minlength=binning.n_cells,
    )
    routes = {"frames": added_up(simulated, binning), "cells": drawn(simulated, binning)}
    return binning, mean, routes


@pytest.mark.parametrize("route", ["frames", "cells"])
def test_each_cell_is_poisson_about_its_mean(repeated, route):
    _, mean, routes = repeated
    counts = routes[route]
    assert counts.dtype == np.int64
    seen = mean > 0
    assert np.all(counts[:, ~seen] == 0)
    counts, mean = counts[:, seen].astype(float), mean[seen]
    pull = (counts.mean(axis=0) - mean) / np.sqrt(mean / REPEATS)
    assert np.abs(pull).max() < 5.5  # some 100 normal deviates
    assert np.sum(pull**2) == pytest.approx(len(mean), abs=5 * np.sqrt(2 * len(mean)))
    # ((n - m)²/m) of a Poisson count has mean 1 and variance 2 + 1/m
    spread = np.mean((counts - mean) ** 2 / mean, axis=0)
    error = np.sqrt((2 + 1 / mean) / REPEATS)
    assert np.abs((spread - 1) / error).max() < 6  # skewed at small means
    assert spread.mean() == pytest.approx(1, abs=5 * np.sqrt(np.sum(error**2)) / len(mean))


@pytest.mark.parametrize("route", ["frames", "cells"])
def test_cells_that_share_no_pixel_are_not_correlated(repeated, route):
    _, mean, routes = repeated
    counts = routes[route][:, mean > 0.5].astype(float)
    matrix = np.corrcoef(counts.T)
    pairs = matrix[np.triu_indices_from(matrix, 1)] * np.sqrt(REPEATS)
    assert np.abs(pairs).max() < 6  # thousands of deviates, heavier tails at small means
    # sum of squares of uncorrelated deviates of variance (1 - 1/n): 5 sigma
    assert np.mean(pairs**2) == pytest.approx(1, abs=5 * np.sqrt(2 / len(pairs)) + 2 / REPEATS)


@pytest.mark.parametrize("route", ["frames", "cells"])
def test_a_rings_sector_shares_its_counts_with_the_radial_bins(repeated, route):
    """Covariance of a sector's band and a radial bin = mean of the one cell in both."""
    binning, mean, routes = repeated
    counts = routes[route].astype(float)
    first, last = binning.rings["003"].window
    part = slice(int(binning.first_cell[first]), int(binning.first_cell[last]))
    fold = (last - first, binning.n_azimuth)
    shared = mean[part].reshape(fold)
    radial = counts[:, part].reshape(-1, *fold).sum(axis=2)
    sectors = counts[:, part].reshape(-1, *fold).sum(axis=1)
    radial_off = radial - shared.sum(axis=1)
    sectors_off = sectors - shared.sum(axis=0)
    found = radial_off.T @ sectors_off / REPEATS
    # variance of a product of jointly normal deviates with covariance c: v w + c²; Poisson adds c
    error = np.sqrt(np.outer(shared.sum(axis=1), shared.sum(axis=0)) + shared**2 + shared)
    pull = (found - shared) / error * np.sqrt(REPEATS)
    assert np.abs(pull).max() < 5
    assert np.mean(pull**2) < 1 + 5 * np.sqrt(2 / min(fold))  # rows and columns are dependent
    assert shared.min() > 0


def test_the_two_routes_are_two_draws_of_one_law(repeated):
    """Neither the same numbers nor another distribution."""
    _, mean, routes = repeated
    seen = mean > 0.5
    one, two = (routes[name][:, seen].astype(float) for name in ("frames", "cells"))
    assert np.mean(one == two) < 0.9
    pull = (one - two) / np.sqrt(2 * mean[seen])
    assert pull.mean() == pytest.approx(0, abs=5 / np.sqrt(pull.size))
    # fourth moment of a difference of Poisson counts: 3 + 1/(2 m)
    error = np.sqrt((2 + 0.5 / mean[seen].min()) / pull.size)
    assert np.mean(pull**2) == pytest.approx(1, abs=5 * error)


def test_the_same_seed_draws_the_same_counts_in_any_order_of_threads():
    phantom, scan = discs((0.0, 0.0, 0.4), material="Al"), scan_plan(2, 0.3, 3)
    made = experiment(phantom, scan, panel=PANEL)
    binning = partition(SimulatedScan(made))
    values = (binning.cell_of_pixel, binning.n_cells)
    one = integrated_counts(SimulatedScan(made), *values, n_threads=1)
    two = integrated_counts(SimulatedScan(made), *values, n_threads=4)
    np.testing.assert_array_equal(one, two)
    other = replace(made, plan=replace(scan, seed=8))
    assert np.any(integrated_counts(SimulatedScan(other), *values) != one)

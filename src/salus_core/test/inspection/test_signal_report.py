# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from matplotlib.image import imread

from salus_core.commands.inspect import main
from salus_core.data.testing import JOINT_NAMES, make_steps
from salus_core.episode_store import EpisodeEnd, EpisodeStart, EpisodeWriter, RunSchema
from salus_core.episode_store.testing import make_schema, write_episode
from salus_core.failures import FailureType, Outcome
from salus_core.inspection.signal_report import (
    CLOCK,
    format_report,
    rank_correlation,
    signal_report,
)
from salus_core.signals import SIGNAL_NAMES, Signal


@pytest.fixture(scope="module")
def data():
    """Signal 8 rises before each failure; signals 0 to 3 are not valid at the first two steps."""
    return make_steps(80)


@pytest.fixture(scope="module")
def report(data):
    return signal_report(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A success and a drop at step 30 before which action_volatility is high."""
    count = len(SIGNAL_NAMES)
    schema = RunSchema(
        control_period=1 / 30,
        signal_names=SIGNAL_NAMES,
        signal_units=("1",) * count,
        signal_definitions=("",) * count,
        signal_available=(True,) * count,
        joint_names=JOINT_NAMES,
        object_names=("cube",),
    )
    writer = EpisodeWriter(tmp_path_factory.mktemp("runs"), schema)
    random = np.random.default_rng(0)
    for number, failure in enumerate((FailureType.NONE, FailureType.DROP)):
        failed = failure != FailureType.NONE
        writer.begin_episode(EpisodeStart(number=number, seed=number))
        for step in range(30):
            signals = random.normal(size=count).astype(np.float32)
            signals[0] += 100 * (failed and step >= 15)
            valid = np.ones(count, bool)
            valid[1] = step >= 3
            row = {"step": step, "complete": True, "signals": signals, "signals_valid": valid}
            writer.append({**row, "action": np.zeros(7), "state": np.zeros(25)})
        writer.commit(
            EpisodeEnd(
                length=30,
                outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
                failure=failure,
                onset_step=30 if failed else -1,
            )
        )
    writer.close()
    return writer.path


def test_the_signal_that_warns_stands_out_and_the_others_do_not(report):
    values = np.array([[one.value for one in row] for row in report.auroc])
    assert (values[Signal.EPISTEMIC_UNCERTAINTY, :3] > 0.7).all()
    assert (np.abs(values[Signal.OOD_DISTANCE, :3] - 0.5) < 0.1).all()
    assert np.isnan(values[:, 3]).all()  # nothing timed out
    warning = report.auroc[Signal.EPISTEMIC_UNCERTAINTY][0]
    assert warning.low < warning.value < warning.high
    assert report.failed.sum() == 40


def test_steps_after_the_onset_count_for_nothing():
    data = make_steps(10)
    report = signal_report(data)
    assert report.steps == data.label_valid[:, -1].sum() < len(data)
    late = ~data.label_valid[:, -1]
    data.signals[late] = 1e6
    assert signal_report(data).quantiles[0, -1] == report.quantiles[0, -1]


def test_validity_and_quantiles_are_those_of_the_valid_steps(data, report):
    known = data.label_valid[:, -1]
    first = data.valid[known, 0]
    assert report.valid[0] == first.mean() < 1.0 == report.valid[5]
    assert report.quantiles[0, 3] == pytest.approx(np.median(data.signals[known, 0][first]))


def test_rank_correlation_sees_monotony_and_skips_what_is_missing():
    x = np.arange(50.0)
    holes = np.where(x % 7 == 0, np.nan, x)
    values = np.column_stack([x, -np.exp(x / 9), holes**3, np.ones(50), np.full(50, np.nan)])
    result = rank_correlation(values)
    np.testing.assert_allclose(result[:3, :3], [[1, -1, 1], [-1, 1, -1], [1, -1, 1]])
    assert np.isnan(result[3:]).all()
    ties = rank_correlation(np.array([[1, 1], [1, 2], [2, 3.0]]))
    assert ties[0, 1] == pytest.approx(np.sqrt(3) / 2)


def test_the_table_has_a_row_for_every_signal_and_the_clock(report):
    lines = format_report(report).splitlines()
    for name in SIGNAL_NAMES:
        assert sum(line.startswith(name) for line in lines) == 3
    assert sum(line.startswith(CLOCK) for line in lines) == 2


def test_the_command_prints_and_draws(run, tmp_path, capsys):
    output = tmp_path / "signals.png"
    assert main(["--signals", str(run), "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert "2 episodes, 60 steps" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("action_volatility")]
    assert rows[1][1:3] == ["-", "1.00"]  # no collision; a drop that is always announced
    assert str(output) in text
    assert imread(output).shape[:2] == (1350, 1500)


def test_what_has_no_report_is_said(tmp_path, capsys):
    writer = EpisodeWriter(tmp_path / "runs", make_schema())
    write_episode(writer, 1, 10)
    writer.close()
    assert main(["--signals", str(writer.path)]) == 1
    assert "its signals are first, second" in capsys.readouterr().err
    assert main(["--signals", str(tmp_path / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["--signals", "--episode", "1", str(writer.path)]) == 1
    assert "exclude" in capsys.readouterr().err


def test_a_mistake_in_the_computation_is_not_taken_for_bad_runs(run, monkeypatch):
    def broken(values):
        raise ValueError("a mistake of the author")

    monkeypatch.setattr("salus_core.inspection.signal_report.rank_correlation", broken)
    with pytest.raises(ValueError, match="a mistake of the author"):
        main([str(run), "--signals"])

"""Training that lasts: killed and resumed, collapsed, stopped early, spread over processes."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from app.learning.nn.autoencoder import HashingAutoencoder, Reading
from app.learning.training.checkpoints import load_checkpoint
from app.learning.training.trainer import End, TrainingSettings, Watch, train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def pictures():
    """Blobs of colour on grey, (96, 32, 32, 3) uint8."""
    rng = np.random.default_rng(0)
    drawn = np.full((96, 32, 32, 3), 127, np.uint8)
    for picture in drawn:
        top, left = rng.integers(0, 20, 2)
        picture[top : top + 12, left : left + 12] = rng.integers(0, 256, 3)
    return drawn


def network(reading=Reading.FROM_CODES):
    torch.manual_seed(0)
    return HashingAutoencoder(16, reading)


def settings(epochs, **others):
    return TrainingSettings(epochs=epochs, batch=32, learning_rate=1e-3, bf16=False, **others)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def killed_after(epochs):
    def progress(history):
        if history.epochs == epochs:
            raise Killed

    return Watch(progress=progress)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_killed_after_any_epoch_ends_as_one_that_was_not(pictures, tmp_path, epoch):
    whole = network()
    expected = train(whole, pictures, settings(4))
    with pytest.raises(Killed):
        train(network(), pictures, settings(4), tmp_path / "run.pt", watch=killed_after(epoch))

    resumed = network()
    history = train(resumed, pictures, settings(4), tmp_path / "run.pt")

    assert history == expected
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_half_written_checkpoint_never_takes_the_place_of_a_whole_one(pictures, tmp_path):
    path = tmp_path / "run.pt"
    train(network(), pictures, settings(1), path)
    path.with_suffix(".writing").write_bytes(b"killed while writing")

    history = train(network(), pictures, settings(2), path)

    assert history.epochs == 2
    assert load_checkpoint(path)["history"]["end"] == End.EPOCHS.value


def test_training_lowers_the_loss_and_counts_the_codes(pictures):
    history = train(network(), pictures, settings(6))

    assert history.terms[-1]["reconstruction"] < history.terms[0]["reconstruction"]
    assert history.distinct[-1] > 1
    assert history.end == End.EPOCHS.value


def test_a_run_with_one_code_for_three_epochs_stops_and_says_so(pictures):
    collapsing = network(Reading.ALGORITHM_2)
    with torch.no_grad():
        collapsing.hash_layer.bias += 100

    history = train(collapsing, pictures, settings(10))

    assert history.epochs == 3
    assert history.end == End.COLLAPSED.value


def test_a_run_stops_early_when_the_held_out_figure_no_longer_rises(pictures):
    figures = iter([0.1, 0.3, 0.2, 0.25, 0.1])

    history = train(
        network(), pictures, settings(10, patience=2), watch=Watch(held_out=lambda _: next(figures))
    )

    assert history.held_out == [0.1, 0.3, 0.2, 0.25]
    assert history.end == End.EARLY.value


def test_every_reading_of_the_paper_trains_and_encodes(pictures):
    for reading in Reading:
        trained = network(reading)
        history = train(trained, pictures, settings(1))
        with torch.no_grad():
            u = trained.encode(torch.from_numpy(pictures[:4]))
            rebuilt = trained.rebuild(torch.from_numpy(pictures[:4]))
        assert u.shape == (4, 16)
        assert rebuilt.shape == (4, 3, 32, 32)
        assert rebuilt.min() >= 0
        assert rebuilt.max() <= 1
        assert np.isfinite(list(history.terms[0].values())).all()


@pytest.mark.slow
def test_contrast_over_two_processes_sees_all_rows_and_has_the_gradient_of_one(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        textwrap.dedent(
            """
            import torch
            from app.learning.nn.losses import info_nce
            from app.learning.training.distributed import gather, ranks

            with ranks() as here:
                every = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
                own = every[here.rank::2].clone().requires_grad_()
                a, b = gather(own), gather(own * 2 + 1)
                info_nce(a, b, 0.5).backward()
                whole = torch.cat([every[0::2], every[1::2]]).requires_grad_()
                info_nce(whole, whole * 2 + 1, 0.5).backward()
                mine = whole.grad[4 * here.rank : 4 * here.rank + 4]
                # Every rank computes the same loss, so the gathered gradient is their sum.
                torch.testing.assert_close(own.grad / here.world, mine)
            """
        )
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr

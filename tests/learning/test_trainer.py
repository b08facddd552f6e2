"""Training that lasts: killed and resumed, collapsed, stopped early, spread over processes."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.encoding.preprocess import Preprocessing
from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import split_every_tenth
from app.learning.nn.augment import random_views
from app.learning.nn.autoencoder import HashingAutoencoder, LossReading
from app.learning.nn.contrastive import ContrastiveNetwork
from app.learning.nn.encoders.paper import PaperEncoder
from app.learning.training.end_to_end.early_stopping import validation_map
from app.learning.training.end_to_end.loop import LoopHooks, LoopSettings, StopReason, run_training_loop
from app.learning.training.monitoring.checkpoints import load_checkpoint

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pictures():
    """Blobs of colour on grey, (96, 32, 32, 3) uint8."""
    rng = np.random.default_rng(0)
    drawn = np.full((96, 32, 32, 3), 127, np.uint8)
    for picture in drawn:
        top, left = rng.integers(0, 20, 2)
        picture[top : top + 12, left : left + 12] = rng.integers(0, 256, 3)
    return drawn


def network(reading=LossReading.FROM_CODES):
    torch.manual_seed(0)
    return HashingAutoencoder(16, reading)


def settings(epochs, **others):
    return LoopSettings(epochs=epochs, batch=32, learning_rate=1e-3, bf16=False, **others)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def killed_after(epochs):
    def progress(history, _):
        if history.epochs == epochs:
            raise Killed

    return LoopHooks(progress=progress)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_killed_after_any_epoch_ends_as_one_that_was_not(pictures, tmp_path, epoch):
    whole = network()
    expected = run_training_loop(whole, pictures, settings(4))
    with pytest.raises(Killed):
        run_training_loop(network(), pictures, settings(4), tmp_path / "run.pt", hooks=killed_after(epoch))

    resumed = network()
    history = run_training_loop(resumed, pictures, settings(4), tmp_path / "run.pt")

    assert history == expected
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_half_written_checkpoint_never_takes_the_place_of_a_whole_one(pictures, tmp_path):
    path = tmp_path / "run.pt"
    run_training_loop(network(), pictures, settings(1), path)
    path.with_suffix(".writing").write_bytes(b"killed while writing")

    history = run_training_loop(network(), pictures, settings(2), path)

    assert history.epochs == 2
    assert load_checkpoint(path)["history"]["end"] == StopReason.EPOCHS.value


def test_training_lowers_the_loss_and_counts_the_codes(pictures):
    history = run_training_loop(network(), pictures, settings(6))

    assert history.terms[-1]["reconstruction"] < history.terms[0]["reconstruction"]
    assert history.distinct[-1] > 1
    assert history.end == StopReason.EPOCHS.value


def test_a_run_with_one_code_for_three_epochs_stops_and_says_so(pictures):
    collapsing = network(LossReading.ALGORITHM_2)
    with torch.no_grad():
        collapsing.hash_layer.bias += 100

    history = run_training_loop(collapsing, pictures, settings(10))

    assert history.epochs == 3
    assert history.end == StopReason.COLLAPSED.value


def test_a_run_stops_early_when_the_held_out_figure_no_longer_rises(pictures):
    figures = iter([0.1, 0.3, 0.2, 0.25, 0.1])

    history = run_training_loop(
        network(), pictures, settings(10, patience=2), hooks=LoopHooks(held_out=lambda _: next(figures))
    )

    assert history.held_out == [0.1, 0.3, 0.2, 0.25]
    assert history.end == StopReason.EARLY.value


def test_every_reading_of_the_paper_trains_and_encodes(pictures):
    for reading in LossReading:
        trained = network(reading)
        history = run_training_loop(trained, pictures, settings(1))
        with torch.no_grad():
            u = trained.encode(torch.from_numpy(pictures[:4]))
            rebuilt = trained.rebuild(torch.from_numpy(pictures[:4]))
        assert u.shape == (4, 16)
        assert rebuilt.shape == (4, 3, 32, 32)
        assert rebuilt.min() >= 0
        assert rebuilt.max() <= 1
        assert np.isfinite(list(history.terms[0].values())).all()


@pytest.mark.parametrize(
    "reading", [reading for reading in LossReading if reading is not LossReading.FROM_CODES]
)
def test_the_losses_of_a_reading_are_sums_over_a_picture_as_the_paper_writes_them(pictures, reading):
    torch.manual_seed(0)
    net, batch = HashingAutoencoder(16, reading, quantisation_weight=0.1), torch.from_numpy(pictures[:32])

    terms = {name: float(term.detach()) for name, term in net(batch).items()}

    z = net.encoder(batch).detach().numpy()
    linear = net.hash_layer
    if reading.centres_latent:
        z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)
        linear = net.hash_layer[1]
    y = np.tanh(z @ linear.weight.detach().numpy().T + linear.bias.detach().numpy())
    h = np.where(y >= 0, 1.0, -1.0)
    seen = h if reading.decodes_codes else z
    rebuilt = net.decoder(torch.from_numpy(seen.astype(np.float32))).detach().numpy()
    errors = ((rebuilt - pictures[:32].transpose(0, 3, 1, 2) / 255) ** 2).sum(axis=(1, 2, 3))
    pulled = np.tanh(z) if reading is LossReading.ALGORITHM_1 else y
    assert terms["reconstruction"] == pytest.approx(errors.mean(), rel=1e-4)
    if reading is LossReading.RECONSTRUCTION_ONLY:
        assert "quantisation" not in terms
    else:
        assert terms["quantisation"] == pytest.approx(0.1 * ((h - pulled) ** 2).sum(axis=1).mean(), rel=1e-4)


def test_algorithm_1_leaves_w_and_b_as_drawn_and_has_as_many_latent_values_as_bits(pictures):
    net = network(LossReading.ALGORITHM_1)
    drawn = {name: weight.clone() for name, weight in net.hash_layer.state_dict().items()}

    run_training_loop(net, pictures, settings(2))

    assert net.encoder.dim == 16
    assert net.hash_layer.weight.shape == (16, 16)
    assert all(torch.equal(net.hash_layer.state_dict()[name], weight) for name, weight in drawn.items())


def test_only_readings_whose_decoder_sees_codes_teach_w_to_rebuild(pictures):
    for reading in LossReading:
        net = network(reading)
        net(torch.from_numpy(pictures[:32]))["reconstruction"].backward()
        linear = net.hash_layer[1] if reading.centres_latent else net.hash_layer
        learns = linear.weight.grad is not None and bool(linear.weight.grad.any())
        assert learns is reading.decodes_codes, reading


def test_held_out_figure_of_codes_that_are_the_kinds_is_one(tmp_path):
    for kind, level in enumerate((20, 230)):
        (tmp_path / f"kind{kind}").mkdir()
        for i in range(20):
            grey = np.full((32, 32, 3), level + i % 5, np.uint8)
            Image.fromarray(grey).save(tmp_path / f"kind{kind}" / f"{i:02}.png")

    class Brightness(torch.nn.Linear):
        bits = 8

        def encode(self, batch):
            return (batch.float().mean((1, 2, 3))[:, None] - 127).expand(-1, 8)

    measure = validation_map(split_every_tenth(load_pictures(tmp_path)), Preprocessing(32))

    assert measure(Brightness(1, 1)) == 1.0


def test_a_network_learns_to_give_two_views_of_a_picture_one_code(pictures):
    torch.manual_seed(0)
    network = ContrastiveNetwork(PaperEncoder(16), 16)

    history = run_training_loop(network, pictures, settings(8))

    assert history.terms[-1]["contrast"] < history.terms[0]["contrast"] - 0.1
    assert history.distinct[-1] > 10


def test_views_keep_the_shape_and_differ_from_one_another(pictures):
    torch.manual_seed(0)
    batch = torch.from_numpy(pictures[:8])

    a, b = random_views(batch), random_views(batch)

    assert a.shape == batch.shape
    assert a.dtype == torch.uint8
    assert (a != b).flatten(1).any(dim=1).all()


def brief_run(checkpoint, hooks=None):
    """A training of a few seconds: run by the test below, and by the process that it kills."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 32, 32, 3), dtype=np.uint8)
    run_training_loop(network(), noise, settings(3), Path(checkpoint), hooks=hooks)
    return load_checkpoint(Path(checkpoint))


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_an_epoch_ends_as_one_that_was_not(tmp_path):
    # On one thread, as all of these tests: another number adds in another order.
    program = """
import sys
import torch
from app.learning.training.end_to_end.loop import LoopHooks
from tests.learning.test_trainer import brief_run
torch.set_num_threads(1)
brief_run(sys.argv[1], LoopHooks(progress=lambda history, _: print(history.epochs, flush=True)))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "killed.pt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        process.stdout.readline()
        process.kill()
    assert load_checkpoint(tmp_path / "killed.pt")["history"]["end"] is None

    resumed, whole = brief_run(tmp_path / "killed.pt"), brief_run(tmp_path / "whole.pt")

    assert resumed["history"]["terms"] == whole["history"]["terms"]
    for name, weight in whole["network"].items():
        assert torch.equal(weight, resumed["network"][name]), name


def run_on_two_ranks(script, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_contrast_all_rows_and_train_as_one_does(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            import numpy as np, torch
            from app.learning.nn.autoencoder import HashingAutoencoder, LossReading
            from app.learning.nn.contrastive import ContrastiveNetwork
            from app.learning.nn.encoders.paper import PaperEncoder
            from app.learning.nn.losses import info_nce
            from app.learning.training.end_to_end.distributed import Ranks, gather_rows, join_ranks
            from app.learning.training.end_to_end.loop import LoopSettings, LoopHooks, run_training_loop

            pictures = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
            settings = LoopSettings(epochs=2, batch=32, learning_rate=1e-3, bf16=False)

            def contrastive(gather):
                torch.manual_seed(0)
                # Views and running means are each rank's own; without them one process computes the same.
                network = ContrastiveNetwork(PaperEncoder(16), 16, gather=gather, views=lambda rows: rows)
                network.hash_layer = torch.nn.Linear(16, 16)
                return network

            def autoencoder(_):
                torch.manual_seed(0)
                return HashingAutoencoder(16, LossReading.ALGORITHM_2)

            with join_ranks() as here:
                every = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
                own = every[here.rank::2].clone().requires_grad_()
                a, b = gather_rows(own), gather_rows(own * 2 + 1)
                info_nce(a, b, 0.5).backward()
                whole = torch.cat([every[0::2], every[1::2]]).requires_grad_()
                info_nce(whole, whole * 2 + 1, 0.5).backward()
                mine = whole.grad[4 * here.rank : 4 * here.rank + 4]
                # Every rank computes the same loss, so the gathered gradient is their sum.
                torch.testing.assert_close(own.grad / here.world, mine)

                histories, networks = {}, {}
                for make in (contrastive, autoencoder):
                    # Only the first rank's figure counts; were each to use its own, one would stop, one hang.
                    rising = iter((0.1, 0.2) if here.is_first else (0.9, 0.1))
                    watch = LoopHooks(held_out=lambda _: next(rising))
                    networks[make] = make(gather_rows)
                    checkpoint = Path(sys.argv[1]) / f"{make.__name__}.pt"
                    histories[make] = run_training_loop(
                        networks[make], pictures, settings, checkpoint, hooks=watch, ranks=here
                    )
                    assert histories[make].held_out == [0.1, 0.2]

            if here.is_first:
                alone = {make: make(lambda rows: rows) for make in networks}
                found = {make: run_training_loop(alone[make], pictures, settings) for make in alone}
                # The contrast of the first epoch is that of one process; the terms beside it are not means of
                # their shares, so that weights part a little from there on.
                one, two = (run[contrastive].terms[0]["contrast"] for run in (found, histories))
                assert abs(one - two) < 0.05, (one, two)
                weights = (each[autoencoder].parameters() for each in (alone, networks))
                for a, b in zip(*weights, strict=True):
                    # Adam steps as far for a gradient of rounding errors as for any other:
                    # single weights may differ.
                    difference, size = (float(torch.linalg.vector_norm(w.detach())) for w in (a - b, b))
                    assert difference <= 1e-3 * size + 1e-4, (difference, size)
            """
        )
    )

    run_on_two_ranks(script, str(tmp_path))

    assert load_checkpoint(tmp_path / "autoencoder.pt")["history"]["end"] == StopReason.EPOCHS.value
    assert load_checkpoint(tmp_path / "contrastive.pt")["history"]["end"] == StopReason.EPOCHS.value

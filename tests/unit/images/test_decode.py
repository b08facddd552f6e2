"""Decoding: what is valid comes out upright in RGB, what is not is refused, and no file harms the caller."""

import errno
import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from app.domain.errors import (
    DecoderUnavailable,
    DecodeTimeout,
    ImageTooLarge,
    ImageTooManyPixels,
    ImageTooManyScans,
    NotAnImage,
    PictureRefused,
)
from app.images import decode_child
from app.images.containers.jpeg import parse_jpeg
from app.images.decode import Decoder
from app.images.decoding import WORKING_SIZE, decode_in_process
from app.images.formats import ACCEPTED
from app.images.sniff import Limits, sniff
from tests.fixtures.pictures import (
    UPRIGHT,
    encoded,
    hostile,
    odd_but_valid,
    photo,
    png_bomb,
    scan_bomb,
    with_orientation,
)

LIMITS = Limits()


def ignore(number: int) -> None:
    pass


def decode(content: bytes, crop=None):
    return decode_in_process(content, LIMITS, crop)


@pytest.fixture(scope="module")
def decoder():
    guarded = Decoder(LIMITS, children=2, timeout_s=5)
    yield guarded
    guarded.close()


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.real_pictures
@pytest.mark.parametrize(("name", "content"), list(odd_but_valid()))
def test_odd_but_valid_pictures_are_accepted(name, content):
    picture = decode(content)

    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape[2] == 3
    assert 1 <= max(picture.pixels.shape[:2]) <= WORKING_SIZE
    assert picture.width >= 1


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_exif_orientation_comes_out_upright(orientation):
    picture = decode(with_orientation(orientation))

    assert (picture.width, picture.height) == (200, 120)
    assert difference(picture.pixels, np.asarray(photo())) < 4


@pytest.mark.parametrize(
    "make",
    [
        lambda p: encoded(Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257), "PNG"),
        lambda p: encoded(Image.fromarray(np.asarray(p.convert("L"), np.float32) / 255), "TIFF"),
        lambda p: encoded(Image.fromarray(np.asarray(p.convert("L"), np.float32)), "TIFF"),
        lambda p: encoded(p.convert("L"), "PNG"),
    ],
)
def test_deep_samples_are_scaled_not_clipped(make):
    expected = np.asarray(photo().convert("L").convert("RGB"))

    assert difference(decode(make(photo())).pixels, expected) < 2


def test_cmyk_looks_like_its_rgb():
    assert (
        difference(decode(encoded(photo().convert("CMYK"), "JPEG", quality=95)).pixels, np.asarray(photo()))
        < 12
    )


def test_transparent_parts_lie_on_white():
    clear = photo().convert("RGBA")
    clear.putalpha(0)

    assert decode(encoded(clear, "PNG")).pixels.min() == 255


def test_the_first_frame_of_an_animation_counts():
    frames = [photo(seed=i) for i in range(3)]

    still = decode(encoded(frames[0], "WEBP", lossless=True)).pixels
    moving = decode(encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])).pixels

    assert np.array_equal(still, moving)


def test_a_large_picture_is_reduced_to_the_working_size():
    picture = decode(encoded(photo(3000, 2000), "JPEG"))

    assert (picture.width, picture.height) == (3000, 2000)
    assert picture.pixels.shape == (341, 512, 3)


def test_a_crop_is_a_part_of_the_upright_picture():
    whole = np.asarray(photo())

    part = decode(with_orientation(6), crop=(0.5, 0.25, 0.5, 0.5)).pixels

    assert part.shape == (60, 100, 3)
    assert difference(part, whole[30:90, 100:]) < 4


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", NotAnImage),
        (b"hello", NotAnImage),
        (encoded(photo(), "JPEG")[:900], NotAnImage),
        (encoded(photo(), "PNG")[:900], NotAnImage),
        (b"\xff\xd8\xff" + b"\0" * 21_000_000, ImageTooLarge),
        (png_bomb(50_000, 50_000), ImageTooManyPixels),
        (scan_bomb(100), ImageTooManyScans),
    ],
)
def test_each_reason_to_refuse_has_its_error(content, kind):
    with pytest.raises(kind):
        decode(content)


def test_an_ordinary_progressive_jpeg_has_few_scans():
    content = encoded(photo(), "JPEG", progressive=True)

    assert 1 < parse_jpeg(content, max_scans=64).scans <= 12
    assert sniff(content, LIMITS).format.name == "JPEG"


def test_refusals_say_nothing_of_our_insides():
    for content in (b"x", encoded(photo(), "PNG")[:900], b"BM" + b"\xff" * 100):
        with pytest.raises(PictureRefused) as refused:
            decode(content)
        assert "/" not in refused.value.detail.replace("8 ×", "")
        assert "Error" not in refused.value.detail


@pytest.mark.slow
@pytest.mark.real_pictures
def test_every_hostile_file_is_decoded_or_refused(decoder):
    outcomes = {}
    for name, content in hostile():
        try:
            decoder.decode(content)
            outcomes[name] = "decoded"
        except PictureRefused as refused:
            outcomes[name] = refused.code

    assert len(outcomes) > 40
    assert "not_an_image" in outcomes.values()


def test_the_guarded_decoder_gives_the_same_pixels(decoder):
    for crop in (None, (0.1, 0.2, 0.5, 0.5)):
        content = encoded(photo(900, 700), "JPEG")
        guarded, plain = decoder.decode(content, crop=crop), decode(content, crop)
        assert np.array_equal(guarded.pixels, plain.pixels)
        assert (guarded.width, guarded.height, guarded.media_type) == (900, 700, "image/jpeg")


@pytest.mark.parametrize("more", [0, 3_000_000], ids=["that does not answer", "that does not read"])
def test_a_hanging_child_is_killed_and_the_next_picture_decoded(more):
    content = encoded(photo(), "JPEG") + bytes(more)
    guarded = Decoder(LIMITS, children=1, timeout_s=1.5)
    guarded.decode(content)
    (stopped,) = guarded.pids()
    os.kill(stopped, signal.SIGSTOP)

    with pytest.raises(DecodeTimeout):
        guarded.decode(content)

    assert guarded.decode(content).width == 200
    assert guarded.pids() != [stopped]
    guarded.close()


def test_a_child_that_dies_is_replaced():
    content = encoded(photo(), "JPEG")
    guarded = Decoder(LIMITS, children=1)
    guarded.decode(content)
    os.kill(guarded.pids()[0], signal.SIGKILL)

    assert guarded.decode(content).width == 200
    guarded.close()


def decode_all(decoder, contents, *, crop=None):
    outcomes = []
    while len(outcomes) < len(contents):
        some = decoder.decode_some(contents[len(outcomes) :], crop=crop)
        assert some
        outcomes += some
    return outcomes


def test_pictures_that_go_to_a_child_together_come_back_as_each_does_alone(decoder):
    contents = [encoded(photo(300 + i, 200, seed=i), "JPEG" if i % 2 else "PNG") for i in range(6)]
    contents[1] = b"no picture"
    contents[4] = contents[4][: len(contents[4]) // 2]
    contents.append(encoded(photo(900, 700), "JPEG"))

    for crop in (None, (0.1, 0.2, 0.5, 0.5)):
        for i, outcome in enumerate(decode_all(decoder, contents, crop=crop)):
            if i in {1, 4}:
                with pytest.raises(PictureRefused) as refused:
                    decoder.decode(contents[i], crop=crop)
                assert (outcome.code, outcome.detail) == (refused.value.code, refused.value.detail)
            else:
                alone = decoder.decode(contents[i], crop=crop)
                assert np.array_equal(outcome.pixels, alone.pixels)
                assert (outcome.width, outcome.height) == (alone.width, alone.height)


@pytest.mark.parametrize(
    "content", [b"no picture", b"\xff\xd8\xff\xe0" + bytes(5_000)], ids=["sniffed", "decoded"]
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_refusal_does_not_keep_its_file_in_memory(decoder, content, alone):
    for refused in decoder.decode_some([content, content], alone=alone):
        assert isinstance(refused, PictureRefused)
        assert (refused.__traceback__, refused.__context__, refused.__cause__) == (None, None, None)


def test_a_turn_ends_in_time_and_the_rest_comes_in_later_ones():
    picture = encoded(photo(), "PNG")
    guarded = Decoder(LIMITS, children=1, turn_s=0)
    contents = [b"no picture", picture, b"no picture", picture, picture]

    assert len(guarded.decode_some(contents)) == 3
    assert [isinstance(one, PictureRefused) for one in decode_all(guarded, contents)] == [1, 0, 1, 0, 0]
    guarded.close()


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "dies"])
def test_pictures_whose_child_fails_are_decoded_one_by_one(fault):
    contents = [encoded(photo(seed=i), "PNG") for i in range(3)]
    guarded = Decoder(LIMITS, children=1, timeout_s=1.5)
    guarded.decode(contents[0])
    (failed,) = guarded.pids()
    os.kill(failed, fault)

    # A death may also be noticed before anything is sent.
    assert len(guarded.decode_some(contents)) in {0, 3}
    decoded = [guarded.decode_some(contents[i:], alone=True)[0] for i in range(3)]

    assert all(np.array_equal(decoded[i].pixels, np.asarray(photo(seed=i))) for i in range(3))
    assert failed not in guarded.pids()
    guarded.close()


@pytest.mark.slow
def test_of_pictures_sent_together_the_one_that_takes_too_long_is_refused_alone():
    contents = [encoded(photo(seed=i), "PNG") for i in range(3)]
    contents.insert(1, scan_bomb(9_000))
    guarded = Decoder(Limits(max_bytes=100_000_000, max_scans=10_000), children=1, timeout_s=1.5)

    assert guarded.decode_some(contents) == []
    first, slow, *others = [guarded.decode_some(contents[i:], alone=True)[0] for i in range(4)]

    assert isinstance(slow, DecodeTimeout)
    assert [one.width for one in (first, *others)] == [200, 200, 200]
    guarded.close()


@pytest.mark.slow
def test_a_picture_that_takes_too_much_processor_time_is_refused():
    guarded = Decoder(
        Limits(max_bytes=100_000_000, max_scans=10_000), children=1, timeout_s=60, cpu_s=0.2, turn_s=60
    )
    good = encoded(photo(), "PNG")
    with pytest.raises(DecodeTimeout, match=r"LOOKALIKE_DECODE_CPU_S.*LOOKALIKE_DECODE_TIMEOUT_S"):
        guarded.decode(scan_bomb(9_000))
    # The limit is each picture's own.
    assert all(one.width == 200 for one in guarded.decode_some([good] * 64))
    guarded.close()


@pytest.mark.parametrize(
    ("pixels", "allowances"), [(1, 1.0), (12_000_000, 1.0), (24_000_000, 2.0), (48_000_000, 4.0), (10**9, 5.0)]
)
def test_large_pictures_may_take_more_processor_time(pixels, allowances):
    assert decode_child.allowances_of(pixels) == allowances


@pytest.mark.parametrize(
    ("kind", "timers"), [("PNG", [0.5, 1.0, 0]), ("HEIF", [0.5, 1.0, 0]), ("JPEG", [0.5, 0])]
)
def test_the_processor_time_follows_the_size_in_the_header_unless_the_decoder_scales(kind, timers, monkeypatch):
    set_timers = []
    monkeypatch.setattr(signal, "setitimer", lambda _, seconds: set_timers.append(seconds))
    # The real number of pixels takes seconds to encode.
    monkeypatch.setattr(decode_child, "PIXELS_PER_ALLOWANCE", 750_000)
    content = encoded(Image.new("RGB", (1500, 1000)), kind)
    [outcome] = decode_child._outcomes([content], LIMITS, None, cpu_s=0.5, turn_s=60, on_need=ignore)
    assert (outcome.width, outcome.height) == (1500, 1000)
    assert set_timers == timers


def test_a_picture_over_the_pixel_limit_gets_no_more_time(monkeypatch):
    set_timers = []
    monkeypatch.setattr(signal, "setitimer", lambda _, seconds: set_timers.append(seconds))
    content = encoded(Image.new("L", (6000, 4000)), "PNG")
    [outcome] = decode_child._outcomes(
        [content], Limits(max_pixels=23_000_000), None, cpu_s=0.5, turn_s=60, on_need=lambda _: None
    )
    assert isinstance(outcome, ImageTooManyPixels)
    assert set_timers == [0.5, 0]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", [one.decoder for one in ACCEPTED])
def test_a_picture_of_any_format_over_the_pixel_limit_is_told_the_setting(kind, mode):
    if (kind, mode) == ("JPEG", "RGBA"):
        mode = "CMYK"
    content = encoded(Image.effect_noise((200, 200), 50).convert(mode), kind)
    with pytest.raises(ImageTooManyPixels, match="LOOKALIKE_MAX_PIXELS"):
        decode_in_process(content, Limits(max_pixels=1_000))


def test_a_jpeg_2000_for_which_memory_is_lacking_is_not_called_damaged(monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    truncated = encoded(photo(), "JPEG2000")[:-2_000]
    [damaged] = decode_child._outcomes([truncated], LIMITS, None, cpu_s=60, turn_s=60, on_need=ignore)
    monkeypatch.setattr(mmap, "mmap", fail)
    [lacking] = decode_child._outcomes([truncated], LIMITS, None, cpu_s=60, turn_s=60, on_need=ignore)

    assert isinstance(damaged, NotAnImage)
    assert isinstance(lacking, DecodeTimeout)
    assert "needs more memory" in lacking.detail


def test_a_decoder_that_reports_a_lack_of_memory_does_not_report_damage(monkeypatch):
    def fail(_self):
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr(BmpImageFile, "load", fail)
    [outcome] = decode_child._outcomes(
        [encoded(photo(), "BMP")], LIMITS, None, cpu_s=60, turn_s=60, on_need=lambda _: None
    )

    assert isinstance(outcome, DecodeTimeout)


def test_closing_wakes_who_waits_for_a_child():
    content = encoded(photo(), "JPEG")
    guarded = Decoder(LIMITS, children=1, timeout_s=60)
    guarded.decode(content)
    os.kill(guarded.pids()[0], signal.SIGSTOP)
    refused = []

    def ask() -> None:
        try:
            guarded.decode(content)
        except DecoderUnavailable as error:
            refused.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    time.sleep(0.2)
    guarded.close()
    waiting.join(10)

    assert len(refused) == 1
    assert guarded.pids() == []


def test_closing_ends_every_child():
    guarded = Decoder(LIMITS, children=2)
    content = encoded(photo(), "JPEG")
    threads = [threading.Thread(target=guarded.decode, args=(content,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = guarded.pids()

    guarded.close()

    assert guarded.pids() == []
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_many_threads_share_few_children(decoder):
    contents = [encoded(photo(seed=i), "PNG") for i in range(24)]
    results: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        results[i] = decoder.decode(contents[i]).pixels

    threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(decoder.pids()) <= 2
    assert all(np.array_equal(results[i], np.asarray(photo(seed=i))) for i in range(24))


def test_a_child_that_cannot_start_says_nothing_of_the_picture(monkeypatch, tmp_path):
    contents = [encoded(photo(seed=i), "PNG") for i in range(3)]
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('no such library')")

    for name, value in (("executable", "/no/such/interpreter"), ("executable", "/bin/false"), ("path", None)):
        with monkeypatch.context() as patched:
            if value is None:
                patched.setenv("PYTHONPATH", str(tmp_path))
            else:
                patched.setattr(sys, name, value)
            guarded = Decoder(LIMITS, children=1)
            with pytest.raises(DecoderUnavailable):
                guarded.decode(contents[0])
            with pytest.raises(DecoderUnavailable):
                guarded.decode_some(contents)
        # What kept it from starting has passed.
        assert guarded.decode(contents[0]).width == 200
        guarded.close()

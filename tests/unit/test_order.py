"""The order of the modules of tests in a parallel run."""

from tests.fixtures.order import COMPUTING, TESTS, WAITING, turn_of


def test_every_module_that_begins_early_exists_and_is_listed_once():
    names = COMPUTING + WAITING

    assert [name for name in names if not (TESTS / f"{name}.py").is_file()] == []
    assert len(set(names)) == len(names)


def test_modules_that_compute_and_that_wait_take_turns_before_all_others():
    names = ["unit/test_samples", "process/test_kill", *COMPUTING[:2], "cli/test_ports", *WAITING[:2]]
    paths = [TESTS / f"{name}.py" for name in names]

    assert [path.relative_to(TESTS).with_suffix("").as_posix() for path in sorted(paths, key=turn_of)] == [
        COMPUTING[0],
        WAITING[0],
        COMPUTING[1],
        WAITING[1],
        "process/test_kill",
        "cli/test_ports",
        "unit/test_samples",
    ]

"""Results of threads in order, and lines of progress."""

import threading
import time

import pytest

from gluon_tricks.data import parallel


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_order_whatever_each_takes(workers):
    def work(item):
        time.sleep(0.001 * (item % 3))
        return item * item

    assert list(parallel.ordered_map(work, range(40), workers)) == [i * i for i in range(40)]


def test_items_are_taken_no_further_than_the_results_are_used():
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    results = parallel.ordered_map(lambda item: item, items(), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) < 30
    results.close()


def test_an_error_comes_where_its_result_would_and_the_threads_end():
    before = threading.active_count()

    def work(item):
        return 1 / (3 - item)

    results = parallel.ordered_map(work, range(100), 4)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(parallel, "LINE_EVERY", 0.0)
    with parallel.Progress("train", 50) as progress:
        for done in range(11, 21):
            time.sleep(0.002)
            progress.show(done)
        progress.say("something")
    said = capsys.readouterr().err.splitlines()
    assert (
        said[-2].startswith("train: 20 of 50, ")
        and said[-2].endswith(" minutes left")
        and said[-1] == "something"
    )


def test_on_a_terminal_a_bar_begins_where_an_earlier_run_ended(monkeypatch, capsys):
    monkeypatch.setattr(parallel.sys.stderr, "isatty", lambda: True, raising=False)
    with parallel.Progress("train", 50) as progress:
        for done in range(41, 51):
            progress.show(done)
        assert progress.bar.n == 50 and progress.bar.initial == 40
    assert "train" in capsys.readouterr().err

"""Runs of several workers, of which those that more than one test looks at are trained once."""

import pytest


@pytest.fixture(scope="session")
def finished():
    """{(launch, flags): what ``finish`` gave} of the runs so far that tests share."""
    return {}


@pytest.fixture
def finish_once(finish, finished):
    """``finish_once(launch, *flags)``: as ``finish``, but trained once in a session."""

    def finish_once(launch, *flags):
        key = (launch, flags)
        if key not in finished:
            finished[key] = finish(launch, f"shared-{len(finished)}", *flags)
        return finished[key]

    return finish_once


@pytest.fixture
def reference(finish_once):
    """20 steps of 8 images in parts of 4, with mixup, on one process: the run that nothing happens
    to.
    """
    return finish_once("local", "--cpu-contexts", "2", "--batch-size", "4", "--mixup")

"""Runs of several workers. A run that several tests look at is trained once."""

import pytest


@pytest.fixture(scope="session")
def finished():
    """{(launch, flags): what ``finish`` returned} for the shared runs so far."""
    return {}


@pytest.fixture
def finish_once(finish, finished):
    """``finish_once(launch, *flags)``: like ``finish``, but trains once in a session."""

    def finish_once(launch, *flags):
        key = (launch, flags)
        if key not in finished:
            finished[key] = finish(launch, f"shared-{len(finished)}", *flags)
        return finished[key]

    return finish_once


@pytest.fixture
def reference(finish_once):
    """An undisturbed run: 20 steps of 8 images in parts of 4, with mixup, in one process."""
    return finish_once("local", "--cpu-contexts", "2", "--batch-size", "4", "--mixup")

"""GluonCV's published parameters: downloaded once into ~/.mxnet/models, then read from there.

If they cannot be downloaded, the error says which file to copy here and how to use it.
"""

import contextlib
import os

from ..errors import UserError
from ..text import first_line
from .parameters import load_parameters


def file_called(name, **_):
    """``name``, if GluonCV publishes a parameter file with that name; else None."""
    from gluoncv.model_zoo import model_store

    return name if name in model_store._model_sha1 else None


def load_file(net, file, **_):
    """Set ``net`` to the parameters published as ``file``; return the names of its last layer's
    parameters if that has another number of classes.
    """
    from gluoncv.model_zoo import model_store

    with download(file):
        path = model_store.get_model_file(file)
    return load_parameters(net, path, new_head=True)


@contextlib.contextmanager
def download(file):
    """Turn any exception from the download of ``file`` in this block into a UserError."""
    from gluoncv.model_zoo import model_store

    try:
        yield
    except Exception as error:  # requests, zipfile and the file system raise many types
        raise UserError(_way_out(file, error, model_store)) from error


def _way_out(file, error, store):
    reason = first_line(error)[:200]
    repository = os.environ.get("MXNET_GLUON_REPO", store.apache_repo_url).rstrip("/") + "/"
    archive = store._url_format.format(
        repo_url=repository, file_name=file + "-" + store.short_hash(file)
    )
    return (
        f"the published parameters of {file} could not be downloaded ({reason}). Download "
        f"{archive} on another machine, unpack it here and give the .params file instead of the "
        "name (train: with --use-params)"
    )

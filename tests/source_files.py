"""The files of a data set as its publisher has them."""

import io
import tarfile


def write_tar(path, files):
    """A tar of ``{name: bytes or text}``."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            data = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_files(folder, files):
    """The same files in a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

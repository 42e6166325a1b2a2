"""Where the files are inside an uncompressed tar archive, to read them in any order without
unpacking.

Strict where Python's tarfile is lenient: a damaged header in the middle is an error that names its
place, not the end of the archive.
"""

from ...errors import UserError
from ..file_reading import read_bytes

BLOCK = 512
MOST_METADATA = 1 << 20  # bytes of a long name or of pax records


def members(descriptor, start, end, path):
    """``[(name, offset, size)]`` of the regular files in the archive at bytes ``start`` to ``end``
    of a file.

    ``path`` is for messages. Reads ustar, GNU and pax headers. UserError if a header is damaged
    or a file is cut.
    """
    found, place, override = [], start, {}
    while place < end:
        if place + BLOCK > end:
            raise UserError(f"{path}: truncated: it ends at byte {end} in the middle of a header")
        header = read_bytes(descriptor, BLOCK, place, path)
        if not any(header):
            break  # the end marker; an archive without it ends with the file
        try:
            check(header)
            size = override.pop("size", None)
            size = number(header[124:136]) if size is None else size
        except ValueError as error:
            raise UserError(f"{path}: no tar header at byte {place}: {error}") from None
        data, kind = place + BLOCK, header[156:157]
        if data + size > end:
            raise UserError(
                f"{path}: truncated: the file at byte {data} has {size} bytes, "
                f"and {end - data} are there"
            )
        if kind in b"LKxg":
            if size > MOST_METADATA:
                raise UserError(
                    f"{path}: damaged tar header at byte {place}: a name of {size} bytes"
                )
            if kind == b"L":
                override["path"] = text(read_bytes(descriptor, size, data, path))
            elif kind == b"x":
                override.update(pax(read_bytes(descriptor, size, data, path)))
        else:
            if kind in b"0\x007":
                found.append((override.get("path") or name_of(header), data, size))
            override = {}
        place = data + size + -size % BLOCK
    return found


def check(header):
    """ValueError if the header's checksum is wrong."""
    try:
        expected = int(text(header[148:156]).strip() or "x", 8)
    except ValueError:
        raise ValueError("it has no checksum") from None
    if sum(header) - sum(header[148:156]) + 8 * 32 != expected:
        raise ValueError("its checksum is wrong")


def number(field):
    """A size: octal digits, or GNU's base 256 with the first bit set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
    else:
        value = int(text(field).strip() or "0", 8)
    if value < 0:
        raise ValueError("a size below zero")
    return value


def name_of(header):
    """The path of a file by its own header, in two fields if it is ustar's."""
    name = text(header[:100])
    prefix = text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return prefix + "/" + name if prefix else name


def text(field):
    """A field up to its first NUL; bytes that are not UTF-8 stay as surrogates."""
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def pax(data):
    """The path and size of a file in pax records ("LENGTH KEY=VALUE\\n", one after another)."""
    found, place = {}, 0
    while place < len(data):
        try:
            blank = data.index(b" ", place, place + 20)
            length = int(data[place:blank])
            key, value = data[blank + 1 : place + length].rstrip(b"\n").split(b"=", 1)
            if key == b"path":
                found["path"] = text(value)
            elif key == b"size" and len(value) <= 20:
                found["size"] = abs(int(value))
        except ValueError:
            break
        if length <= 0:
            break
        place += length
    return found

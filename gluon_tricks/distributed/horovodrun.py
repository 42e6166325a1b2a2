"""A ``horovodrun`` that listens on one network interface: ``python -m
gluon_tricks.distributed.horovodrun``, with the same flags.

Horovod's own servers, in ``horovodrun`` and in the workers of an elastic launch, listen on all
interfaces in spite of ``--network-interfaces``, and unpickle what they are sent.
"""

import re
import socketserver
import sys


def listen_on(interface):
    """Make servers of this process that would listen on all interfaces listen on this one alone."""
    from horovod.runner.util.network import get_driver_ip

    address = get_driver_ip([interface])  # the address that Horovod tells the others
    bind = socketserver.TCPServer.server_bind

    def server_bind(server):
        if not server.server_address[0]:
            server.server_address = (address, *server.server_address[1:])
        bind(server)

    socketserver.TCPServer.server_bind = server_bind


EXIT_CODE = re.compile(r"Exit code: (-?\d+)")  # of a worker, in Horovod's message


def ended_by_a_worker(error):
    """The exit code of a launch that ended with Horovod's ``error``, a RuntimeError: that of the
    first worker that failed, which has said why. None if no worker failed.
    """
    found = EXIT_CODE.search(str(error))
    code = int(found[1]) if found else 0
    return (128 - code if code < 0 else code) or None


def main():
    """Do what ``horovodrun`` does, but end with the exit code of the worker that failed."""
    try:
        from horovod.runner import launch
    except ImportError as error:
        sys.exit(
            f"horovodrun: error: Horovod cannot be imported ({error}); docs/install.md says how to "
            "build it"
        )
    interfaces = launch.parse_args().nics or ()
    if len(interfaces) == 1:
        listen_on(*interfaces)
    try:
        launch.run_commandline()
    except RuntimeError as error:
        code = ended_by_a_worker(error)
        if code is None:
            raise
        print(f"horovodrun: a worker ended with {code}, and so does the launch", file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    main()

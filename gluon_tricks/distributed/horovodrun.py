"""``horovodrun`` that listens on one network interface: ``python -m
gluon_tricks.distributed.horovodrun``, with its flags.

Horovod's own servers, in ``horovodrun`` and in the workers of an elastic launch, listen on all
interfaces, whatever ``--network-interfaces`` says, and unpickle what they are sent.
"""

import socketserver
import sys


def listen_on(interface):
    """From now on, servers of this process that would listen on all interfaces listen on this one
    alone.
    """
    from horovod.runner.util.network import get_driver_ip

    address = get_driver_ip([interface])  # the one that Horovod tells the others
    bind = socketserver.TCPServer.server_bind

    def server_bind(server):
        if not server.server_address[0]:
            server.server_address = (address, *server.server_address[1:])
        bind(server)

    socketserver.TCPServer.server_bind = server_bind


def main():
    """Do what ``horovodrun`` does."""
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
    launch.run_commandline()


if __name__ == "__main__":
    main()

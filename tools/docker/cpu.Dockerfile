# An image for hosts without a GPU, with everything from `make test` except the tests: MXNet's CPU build, Horovod with
# Gloo, and an ssh server for workers on other hosts. In the repository's folder:
#
#     docker build -f tools/docker/cpu.Dockerfile -t gluon_tricks:cpu .
#     docker run --rm -v /data:/data -v /runs:/runs gluon_tricks:cpu gluon-tricks train --data-dir /data ...
FROM debian:bookworm-slim AS build
WORKDIR /opt/gluon_tricks
COPY tools/*.sh tools/
RUN tools/install_system.sh package,horovod
# Only what the package's installation reads, so that other changes do not rebuild Horovod.
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY gluon_tricks/__init__.py gluon_tricks/
RUN tools/make_environment.sh .venv
RUN tools/install_package.sh .venv cpu,data,onnx,safetensors,tensorboard,horovod
RUN tools/build_horovod.sh .venv /tmp/wheels gloo

FROM debian:bookworm-slim
WORKDIR /opt/gluon_tricks
COPY tools/*.sh tools/
RUN tools/install_system.sh package,data,ssh && rm -rf /var/lib/apt/lists/* && mkdir -p /run/sshd
COPY tools/docker/ssh.conf /etc/ssh/ssh_config.d/gluon_tricks.conf
COPY tools/docker/sshd.conf /etc/ssh/sshd_config.d/gluon_tricks.conf
COPY --from=build /opt/gluon_tricks/.venv .venv
# Also for commands through ssh, which have a different PATH.
RUN ln -s /opt/gluon_tricks/.venv/bin/gluon-tricks /opt/gluon_tricks/.venv/bin/horovodrun /usr/local/bin/
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY gluon_tricks gluon_tricks
COPY recipes recipes
ENV PATH=/opt/gluon_tricks/.venv/bin:$PATH
CMD ["gluon-tricks", "doctor"]

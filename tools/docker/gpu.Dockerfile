# An image for hosts with GPUs up to compute capability 8.9: MXNet's CUDA build, Horovod with NCCL, MPI and Gloo, and an
# ssh server for workers on other hosts. In the repository's folder:
#
#     docker build -f tools/docker/gpu.Dockerfile -t gluon_tricks:gpu .
#     docker run --rm --gpus all --shm-size 1g -v /data:/data -v /runs:/runs gluon_tricks:gpu \
#       env DATA=/data RUNS=/runs recipes/table6_resnet50_v1d_mixup.sh
#
# CUDA 11.8 has the libraries that MXNet's build for 11.2 loads. The driver is the host's.
FROM nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04 AS build
WORKDIR /opt/gluon_tricks
COPY tools/*.sh tools/
RUN tools/install_system.sh package,horovod,mpi-headers
# The build imports MXNet, but has no driver; CUDA's stub of the driver suffices.
RUN ln -s libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1
ENV LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs
# Only what the package's installation reads, so that other changes do not rebuild Horovod.
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY gluon_tricks/__init__.py gluon_tricks/
RUN tools/make_environment.sh .venv
RUN tools/install_package.sh .venv cu112,data,onnx,safetensors,tensorboard,horovod
RUN tools/build_horovod.sh .venv /tmp/wheels gloo,mpi,nccl

FROM nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04
WORKDIR /opt/gluon_tricks
COPY tools/*.sh tools/
RUN tools/install_system.sh package,data,mpi,ssh && rm -rf /var/lib/apt/lists/* && mkdir -p /run/sshd
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

# syntax=docker/dockerfile:1
# Targets: `gateway` has no numerics, `worker` runs jobs, and `trial`, the default, is a whole service in one container:
# docker run --rm -p 127.0.0.1:8000:8000 IMAGE
#
# Name the base with its digest for a build that can be repeated:
# --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM scratch AS source
COPY constraints.txt pyproject.toml README.md /
COPY quant /quant
COPY jobs /jobs
COPY worker /worker
COPY service /service
COPY client /client

# An environment without pip, which the pip of the base image installs into.
FROM ${PYTHON_IMAGE} AS environment
WORKDIR /build
RUN python -m venv --without-pip /opt/quantd

FROM environment AS gateway-packages
COPY --from=source / ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/quantd/bin/python install --constraint constraints.txt ./client '.[agents,telemetry]' \
    && find /opt/quantd -depth -type d -name tests -exec rm -r {} +

FROM environment AS worker-packages
COPY --from=source /constraints.txt ./
# Name an index of CPU builds: the default one may have torch with the libraries of CUDA, which are large and not used.
ARG TORCH_INDEX=""
RUN --mount=type=cache,target=/root/.cache/pip \
    PIP_INDEX_URL="${TORCH_INDEX}" pip --python /opt/quantd/bin/python install torch==2.13.0
COPY --from=source / ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/quantd/bin/python install --constraint constraints.txt \
        ./client '.[worker,torchscript,data,telemetry]' \
    && find /opt/quantd -depth -type d -name tests -exec rm -r {} +
# Compile the loops now, since a job's process may not write to this folder.
RUN /opt/quantd/bin/python -P -m quant.warm_up

FROM worker-packages AS trial-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/quantd/bin/python install --constraint constraints.txt \
        ./client '.[up,torchscript,data,agents,telemetry]'
RUN /opt/quantd/bin/python -P -m quant.warm_up

FROM ${PYTHON_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="quantd" \
      org.opencontainers.image.description="Post-training quantization of neural networks as a REST service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
RUN useradd --system --uid 10001 --home-dir /var/lib/quantd --create-home quantd
ENV PATH=/opt/quantd/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    QUANTD_AUTH=required
USER 10001
WORKDIR /var/lib/quantd

FROM base AS gateway
COPY --from=gateway-packages /opt/quantd /opt/quantd
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["python", "-m", "service", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
COPY --from=worker-packages /opt/quantd /opt/quantd
ENV QUANTD_WORKER_METRICS=0.0.0.0:9100
EXPOSE 9100
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9100/metrics', timeout=4)"]
CMD ["python", "-m", "worker", "--concurrency", "1"]

# Prints an API key at its first start. Data are lost with the container; mount a volume at /var/lib/quantd to keep them.
FROM base AS trial
COPY --from=trial-packages /opt/quantd /opt/quantd
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["quantd", "up", "--host", "0.0.0.0", "--port", "8000", "--first-key"]

# syntax=docker/dockerfile:1
# One image for the gateway and the worker; the command chooses between them.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
RUN python -m venv /opt/quantd
COPY constraints.txt ./
# TorchScript needs torch: name the index of its CPU build with --build-arg TORCH_INDEX. Without it, the image has no torch.
ARG TORCH_INDEX=""
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "${TORCH_INDEX}" ]; then \
        /opt/quantd/bin/pip install --index-url "${TORCH_INDEX}" torch==2.13.0; \
    fi
COPY pyproject.toml README.md ./
COPY quant quant
COPY jobs jobs
COPY worker worker
COPY service service
COPY client client
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/quantd/bin/pip install --constraint constraints.txt ./client '.[telemetry,data]'
# Compile the loops now: a job's process may not write to this folder.
RUN /opt/quantd/bin/python -P -m quant.warm_up

FROM python:${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/quantd --create-home quantd
COPY --from=build /opt/quantd /opt/quantd
ENV PATH=/opt/quantd/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/quantd
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["python", "-m", "service", "--host", "127.0.0.1", "--port", "8000"]

# syntax=docker/dockerfile:1
# Two images from one file: `serve` (no torch) and `worker` (with torch, for training).

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/lookalike
RUN python -m venv /opt/venv
COPY requirements/serve.lock requirements/serve.lock
RUN /opt/venv/bin/pip install -r requirements/serve.lock
# Set to anything for collections whose index is on ClickHouse.
ARG CLICKHOUSE=""
COPY requirements/clickhouse.lock requirements/clickhouse.lock
RUN if [ -n "$CLICKHOUSE" ]; then /opt/venv/bin/pip install -r requirements/clickhouse.lock; fi
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY tools/build_hook.py tools/build_hook.py
COPY app app
COPY lookalike_client lookalike_client
COPY migrations migrations
COPY model_artifacts model_artifacts
# Editable, because the migrations and the model artifacts are beside the package, not in it.
RUN /opt/venv/bin/pip install --no-deps --editable .

# Kernels for the processor of this machine; elsewhere the first start compiles them again.
RUN NUMBA_CACHE_DIR=/opt/kernels /opt/venv/bin/python -P -m app.index.warm_up

FROM python:3.11-slim-bookworm AS serve
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LOOKALIKE_HOST=0.0.0.0 \
    LOOKALIKE_PORT=8000 \
    LOOKALIKE_DATA_DIR=/data \
    LOOKALIKE_LOG_FORMAT=json \
    NUMBA_CACHE_DIR=/opt/kernels
RUN useradd --system --uid 10001 --home-dir /data --create-home lookalike
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/lookalike /opt/lookalike
COPY --from=build --chown=10001 /opt/kernels /opt/kernels
WORKDIR /opt/lookalike
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["lookalike", "serve"]

FROM build AS build-worker
COPY requirements/train.lock requirements/train.lock
RUN /opt/venv/bin/pip install -r requirements/train.lock

FROM serve AS worker
COPY --from=build-worker /opt/venv /opt/venv

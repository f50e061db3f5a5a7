# Two images from one file: `api` answers and migrates, without TensorFlow; `trainer` schedules, trains and forecasts.
#
#   docker build --target api -t tplus-api .
#   docker build --target trainer -t tplus-trainer .
#
# Pin the base by its digest with --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV PATH=/opt/tplus/bin:$PATH
# Programs that want a home folder find the only one that may be written to.
ENV HOME=/tmp
RUN groupadd --gid 10001 tplus \
    && useradd --uid 10001 --gid tplus --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tplus \
    && install --directory --owner tplus --group tplus --mode 0750 /var/lib/tplus
WORKDIR /var/lib/tplus

FROM ${PYTHON_IMAGE} AS build-api
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /opt/tplus
RUN /opt/tplus/bin/pip install --require-hashes --no-deps -r requirements/base.txt
COPY pyproject.toml README.md LICENSE ./
COPY migrations/ migrations/
COPY models/ models/
COPY service/ service/
RUN /opt/tplus/bin/pip install --no-deps --no-build-isolation .

FROM build-api AS build-trainer
# `run` for CPUs; `gpu` brings CUDA along, `ray` Ray: see docker-compose.gpu.yml and docker-compose.cluster.yml.
ARG TRAINER_LOCK=run
RUN /opt/tplus/bin/pip install --require-hashes --no-deps -r requirements/${TRAINER_LOCK}.txt

FROM base AS api
COPY --from=build-api /opt/tplus /opt/tplus
USER 10001:10001
EXPOSE 8000
CMD ["tplus", "serve"]

FROM base AS trainer
# Quiet, and no folder but the ones that may be written to.
ENV TF_CPP_MIN_LOG_LEVEL=2 KERAS_HOME=/tmp/keras
COPY --from=build-trainer /opt/tplus /opt/tplus
USER 10001:10001
CMD ["tplus", "schedule"]

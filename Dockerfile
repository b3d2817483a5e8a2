# syntax=docker/dockerfile:1
#   docker build -t edgeclf .                      serve a model
#   docker build -t edgeclf:teach --target teach . and teach new ones
# For amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 .
# compose.yaml runs it with all that is safe; docs/web.md explains both.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS source
WORKDIR /source
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY container/install.sh container/
COPY models models
COPY edgeclf edgeclf

FROM source AS build-serve
RUN PYTHON=python3 sh container/install.sh /opt/edgeclf /source web

FROM source AS build-teach
RUN PYTHON=python3 sh container/install.sh /opt/edgeclf /source web,train

FROM ${PYTHON_IMAGE} AS base
LABEL org.opencontainers.image.title="edgeclf" \
      org.opencontainers.image.description="Label pictures with a small TFLite model, in the browser and by an API" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed number, so that folders of the host can be given to it.
RUN groupadd --gid 10001 edgeclf \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
       --shell /usr/sbin/nologin edgeclf \
    && install --directory --owner 10001 --group 10001 /data
ENV PATH=/opt/edgeclf/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
# With another --port or a --certificate: -e EDGECLF_HEALTH_URL=https://127.0.0.1:8443/healthz
COPY --chmod=644 container/health.py /opt/health.py
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/opt/health.py"]
ENTRYPOINT ["edgeclf", "serve", "--host", "0.0.0.0", "--port", "8000", "--allow_remote"]
# The token: in the variable EDGECLF_TOKEN, or --token_file added, as in compose.yaml.
CMD ["--model", "/models/model.tflite"]

FROM base AS teach
COPY --from=build-teach /opt/edgeclf /opt/edgeclf
VOLUME /data
CMD ["--teach", "/data"]

# Last, so that it is what is built when no target is named.
FROM base AS serve
COPY --from=build-serve /opt/edgeclf /opt/edgeclf

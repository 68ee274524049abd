# The command otel-logging in a container: the call page, `doctor`, the parts of the demonstration.
#
#   docker build -t otel-logging:0.1.0 .                      the command
#   docker build -t voice-collector --target collector .      the Collector with our configurations in it, for ECS
#
# Your own service does not need this image: add otel-logging to its own one (docs/how-to/run-with-your-server.md).
# No secret is needed to build either, and none is in them; they come from the environment of the container.

FROM python:3.13.9-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/otel-logging
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY otel_logging otel_logging
RUN /opt/otel-logging/bin/pip install '.[all]'
# The Collector's image has no shell to make a folder with.
RUN mkdir /queue

FROM otel/opentelemetry-collector-contrib:0.159.0 AS collector
COPY collector/*.yaml /etc/otelcol-contrib/
# An empty volume takes over the owner of the folder that it is mounted on; ECS does so too.
COPY --from=build --chown=10001:10001 /queue /var/lib/otelcol
VOLUME /var/lib/otelcol
USER 10001:10001

FROM python:3.13.9-slim-bookworm
COPY --from=build /opt/otel-logging /opt/otel-logging
# The Collector's own user and group: so that the call page may read the files that the Collector writes.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/otel-logging
ENV PATH=/opt/otel-logging/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/otel-logging \
    OTEL_LOGGING_STORE=/var/lib/otel-logging
WORKDIR /var/lib/otel-logging
USER 10001:10001
ENTRYPOINT ["otel-logging"]
CMD ["--help"]

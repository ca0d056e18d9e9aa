# Two stages: what builds stays behind. Both bases are the same, so that compiled parts fit.
#
#   docker build --build-arg BASE=python:3.11.14-slim-bookworm@sha256:... -t forewarn:0.1.0 .
#
# BASE takes a digest; a release pins one. requirements.lock pins every package by its hash.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/forewarn
COPY requirements.lock ./
RUN /opt/forewarn/bin/pip install --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY aiops aiops
COPY detectors detectors
COPY connectors connectors
COPY playbooks playbooks
# --no-deps: whatever is missing from the lock file is a fault, not a download
RUN /opt/forewarn/bin/pip install --no-deps . && /opt/forewarn/bin/pip check
# Modules are compiled here: the root is read-only where it runs
RUN /opt/forewarn/bin/python -m compileall -q /opt/forewarn/lib && \
    /opt/forewarn/bin/forewarn version

FROM ${BASE}
LABEL org.opencontainers.image.title="Forewarn" \
      org.opencontainers.image.description="Sees faults coming, opens one ticket, repairs and verifies." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 65532 forewarn && \
    useradd --key UID_MAX=65535 --uid 65532 --gid 65532 --home-dir /var/lib/forewarn --shell /usr/sbin/nologin forewarn && \
    install -d -o forewarn -g forewarn -m 0750 /var/lib/forewarn
COPY --from=build /opt/forewarn /opt/forewarn
ENV PATH=/opt/forewarn/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/var/lib/forewarn/cache NUMBA_CACHE_DIR=/var/lib/forewarn/cache/numba \
    FOREWARN_LOG_FORMAT=json
USER 65532:65532
WORKDIR /var/lib/forewarn
VOLUME /var/lib/forewarn
EXPOSE 8750
STOPSIGNAL SIGTERM
ENTRYPOINT ["forewarn"]
CMD ["run", "--data", "/var/lib/forewarn"]

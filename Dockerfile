# capi-proxy as a container. Configuration: mount it at /etc/capi-proxy. Data: the volume /data, which is all it
# writes, so `--read-only` works. In config.toml: server.data_dir = "/data".

FROM python:3.11-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/capi-proxy
WORKDIR /src

# Locked versions with their hashes, as wheels only: nothing is compiled, and aiohttp has its C parser.
COPY requirements.lock requirements-postgres.lock ./
RUN /opt/capi-proxy/bin/pip install --require-hashes --only-binary :all: \
    -r requirements.lock -r requirements-postgres.lock

# The build tool too: its lines of the developers' lock, into this stage's own Python.
COPY requirements-dev.lock ./
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.lock > build.lock \
    && pip install --require-hashes -r build.lock

COPY pyproject.toml setup.py README.md LICENSE requirements.txt requirements-postgres.txt ./
COPY proxy proxy
COPY static static
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/capi-proxy/bin/pip install --no-deps dist/*.whl \
    && /opt/capi-proxy/bin/capi-proxy --version


FROM python:3.11-slim-bookworm

# A fixed id, so that the owner of a mounted directory can be set from outside.
RUN groupadd --gid 10001 capi-proxy \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin capi-proxy \
    && install -d -o 10001 -g 10001 -m 0700 /data

COPY --from=build /opt/capi-proxy /opt/capi-proxy

# CAPI_PROXY_PORT: only what HEALTHCHECK asks; set it when server.listen has another port.
# TMPDIR: should SQLite ever want a scratch file, /data is the one place it may write to.
ENV PATH=/opt/capi-proxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/data \
    CAPI_PROXY_PORT=8080

WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8080
# It drains: requests under way, then attempts at Graph, 10 s each at most. Give it `docker stop --time 45`.
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CAPI_PROXY_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["capi-proxy"]
CMD ["serve", "--config", "/etc/capi-proxy/config.toml"]

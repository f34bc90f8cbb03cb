# syntax=docker/dockerfile:1
# Two stages: what builds the environment and compiles the kernels stays behind.

FROM python:3.13-slim-trixie AS build
WORKDIR /srv/bot4
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The lock alone first: this layer is made again only when a dependency changes.
COPY requirements.lock .
RUN pip install --require-hashes --no-deps -r requirements.lock
COPY app app
COPY migrations migrations
COPY alembic.ini .
# numba keys compiled code by the processor that it is for, and would compile again on any other than the
# build machine's. So both stages name one that every machine of the architecture is: "generic", on x86-64
# with SSE2. Where the hosts are known, name a better one: --build-arg CPU_NAME=x86-64-v3 has AVX2.
# It also keys by the times of the source files, which an image keeps in whole seconds only.
ARG CPU_NAME=generic
ENV NUMBA_CPU_NAME=$CPU_NAME NUMBA_CPU_FEATURES="" BOT4_KERNEL_CACHE=/var/cache/bot4/kernels
RUN find app migrations -exec touch --date=@1767225600 {} + \
    && python -m app.cli warm \
    && python -m compileall -q app migrations


FROM python:3.13-slim-trixie
RUN groupadd --system --gid 10001 bot4 \
    && useradd --system --uid 10001 --gid bot4 --home-dir /var/lib/bot4 --no-create-home bot4 \
    && install --directory --owner bot4 --group bot4 --mode 0700 /var/lib/bot4 /var/cache/bot4
WORKDIR /srv/bot4
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/bot4 /srv/bot4
COPY --from=build --chown=bot4:bot4 /var/cache/bot4/kernels /var/cache/bot4/kernels
ARG CPU_NAME=generic
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CPU_NAME=$CPU_NAME \
    NUMBA_CPU_FEATURES="" \
    BOT4_KERNEL_CACHE=/var/cache/bot4/kernels \
    BOT4_DATA_DIR=/var/lib/bot4 \
    BOT4_HOST=0.0.0.0 \
    BOT4_PORT=8000
USER 10001:10001
VOLUME /var/lib/bot4
EXPOSE 8000
# The journal is flushed and the venue told before the server ends, on SIGTERM.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['BOT4_PORT'] + '/health/ready', timeout=2)"]
CMD ["python", "-m", "app.cli", "serve"]

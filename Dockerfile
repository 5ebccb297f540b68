# syntax=docker/dockerfile:1
# One image, roles by command: web, live, worker, beat, migrate; serve, which is web and live in one
# process; or up, which is all of them on SQLite.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/pip-cache
WORKDIR /build
RUN python -m venv /venv
COPY requirements.txt ./
RUN --mount=type=cache,target=/pip-cache \
    /venv/bin/pip install --require-hashes --requirement requirements.txt

FROM python:3.12-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH \
    HOST=0.0.0.0 PORT=4000 HITL_DATA=/data
RUN groupadd --system --gid 10001 hitl \
    && useradd --system --uid 10001 --gid hitl --home-dir /app --no-create-home hitl \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
WORKDIR /app
COPY --from=build /venv /venv
COPY --chown=root:root . .
# Throw-away settings: nothing is connected to, and nothing of them stays in the image.
RUN python -m compileall -q hitl dashboard workflows deliveries events \
    && DATABASE_URL=postgres://build/build REDIS_URL=redis://build ALLOWED_HOSTS=build \
    SECRET_KEY=build-only JWT_SECRET=build-only-build-only-build-only \
    python manage.py collectstatic --noinput
USER 10001:10001
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/app/hitl/health_probe.py"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]

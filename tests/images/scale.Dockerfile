# What docs/scale/compose.yaml takes from a registry, for machines without one: PostgreSQL as the image `postgres` offers
# it, and HAProxy, from the distribution's packages.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql haproxy \
    && rm -rf /var/lib/apt/lists/*

COPY postgres.sh /usr/local/bin/postgres.sh
ENV PATH=/usr/lib/postgresql/15/bin:$PATH \
    PGDATA=/var/lib/postgresql/data
ENTRYPOINT ["/usr/local/bin/postgres.sh"]

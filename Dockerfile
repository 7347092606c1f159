# The one image of dbcustody: operator, Jobs and command line, with PostgreSQL's clients and no server.
#
#   pip wheel --no-deps --wheel-dir dist . && docker build -t dbcustody .
#
# BASE may be any Debian trixie. One that brings Python and the clients is used as it is; otherwise they are installed. CLIENTS are the majors.
# A folder wheels/ beside this file makes the build need no package index; requirements/runtime.txt pins and checks every package either way.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS base
ARG CLIENTS="17 18"
# Debian's stable release has client 17; client 18, and the libpq that fits both, come from the next release and nothing else does.
RUN set -eu; \
    missing=""; \
    for major in ${CLIENTS}; do \
      [ -x "/usr/lib/postgresql/${major}/bin/pg_dump" ] || missing="${missing} postgresql-client-${major}"; \
    done; \
    [ -x /usr/bin/python3 ] || missing="${missing} ca-certificates python3 tzdata"; \
    [ -x /bin/busybox ] || missing="${missing} busybox-static"; \
    if [ -n "${missing}" ]; then \
      awk 'seen && NF == 0 { exit } /^URIs:/ { seen = 1 } { sub(/^Suites:.*/, "Suites: forky") } 1' \
        /etc/apt/sources.list.d/debian.sources > /etc/apt/sources.list.d/next.sources; \
      printf 'Package: *\nPin: release n=forky\nPin-Priority: 100\n\nPackage: libpq5\nPin: release n=forky\nPin-Priority: 900\n' \
        > /etc/apt/preferences.d/clients; \
      apt-get update -q; \
      apt-get install -q -y --no-install-recommends ${missing}; \
    fi; \
    groupadd --gid 65532 dbcustody; \
    useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dbcustody

# Of the packages only what can never be used here goes: tests, services other than S3, bytecode of the client that has an asynchronous twin.
FROM base AS packages
COPY requirements/runtime.txt wheel[s]/*.whl /build/
RUN set -eu; \
    python3 -m venv --without-pip /opt/dbcustody; \
    if ls /build/pip-*.whl > /dev/null 2>&1; then \
      PYTHONPATH="$(ls /build/pip-*.whl)"; export PYTHONPATH; set -- --no-index --find-links /build; \
    else \
      apt-get update -q; apt-get install -q -y --no-install-recommends python3-pip; set --; \
    fi; \
    python3 -m pip --python /opt/dbcustody/bin/python3 install -q --no-cache-dir --only-binary :all: --no-deps --require-hashes "$@" \
      -r /build/runtime.txt; \
    cd /opt/dbcustody/lib/python3*/site-packages; \
    find . -name tests -type d -prune -exec rm -r {} +; \
    rm -rf kubernetes/client/api/__pycache__ kubernetes/client/models/__pycache__; \
    if [ -d botocore/data ]; then \
      find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name 'sso*' ! -name sts ! -name signin -exec rm -r {} +; \
    fi

FROM packages AS application
COPY dist/dbcustody-*.whl /build/
RUN set -eu; \
    if ls /build/pip-*.whl > /dev/null 2>&1; then PYTHONPATH="$(ls /build/pip-*.whl)"; export PYTHONPATH; fi; \
    python3 -m pip --python /opt/dbcustody/bin/python3 install -q --no-cache-dir --no-index --no-deps --prefix /opt/application \
      /build/dbcustody-*.whl

FROM base AS slim
# Perl serves only Debian's choice among client versions, which we make ourselves; the rest is for reading and for installing more.
RUN set -eu; \
    perl="$(dpkg-query -W -f '${Package}\n' | grep -E '^(perl|perl-modules-.*|libperl5.*)$' || true)"; \
    [ -z "${perl}" ] || dpkg --purge --force-depends ${perl}; \
    newest="$(ls /usr/lib/postgresql | sort -n | tail -n 1)"; \
    for program in /usr/lib/postgresql/"${newest}"/bin/*; do ln -sf "${program}" /usr/bin/; done; \
    rm -rf /etc/apt/sources.list.d/next.sources /var/lib/apt/lists/* /var/cache/* /var/log/* /var/lib/dpkg/info/*.symbols /usr/lib/*/gconv \
      /usr/lib/python3*/pydoc_data /usr/share/doc/* /usr/share/info/* /usr/share/locale/* /usr/share/man/* /usr/share/postgresql/*/man

FROM scratch
LABEL org.opencontainers.image.title="dbcustody" \
      org.opencontainers.image.description="Takes custody of PostgreSQL databases that it does not run" \
      org.opencontainers.image.licenses="Apache-2.0"
# The system hardly ever changes, the packages rarely, our code often: three layers.
COPY --from=slim / /
COPY --from=packages /opt/dbcustody /opt/dbcustody
COPY --from=application /opt/application /opt/dbcustody
ENV PATH=/opt/dbcustody/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["dbcustody"]

# The hub without the embedded servers, for production. Everything it installs is pinned by hash (make lock).
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
COPY requirements/bootstrap.txt requirements/build.txt requirements/production.txt requirements/
RUN python -m venv tools \
 && tools/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.txt \
 && tools/bin/uv pip install --no-cache --python tools/bin/python --require-hashes -r requirements/build.txt \
 && python -m venv --without-pip /opt/hub \
 && tools/bin/uv pip install --no-cache --python /opt/hub/bin/python --require-hashes -r requirements/production.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY hub hub
COPY streams streams
COPY connectors connectors
RUN tools/bin/hatchling build --target wheel --directory dist \
 && tools/bin/uv pip install --no-cache --python /opt/hub/bin/python --no-deps --compile-bytecode dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hub \
 && install --directory --owner hub --mode 0700 /data
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 PEYVAND_DATA=/data
USER 10001
WORKDIR /data
EXPOSE 8800
ENTRYPOINT ["hub"]
CMD ["--help"]

# The server and its command: no shell, no package manager, not root. docs/operations.md says how to build and run it, and what
# of that was tried.
#
# The bases are tags of a line of Node; a release pins them by digest with --build-arg.
ARG BUILD_BASE=docker.io/library/node:24-bookworm-slim
ARG RUN_BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_BASE} AS manifests
WORKDIR /src
COPY package.json package-lock.json ./
COPY cli/package.json cli/
COPY sdk/package.json sdk/

# What the server needs at run time, as the lock file says. No script of a package runs: the native parts come prebuilt.
FROM manifests AS dependencies
RUN npm ci --omit=dev --workspace=cli --ignore-scripts --no-audit --no-fund && rm -f node_modules/.package-lock.json

FROM manifests AS build
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npx tsc -b cli sdk/tsconfig.package.json && rm -rf cli/dist/.tsbuildinfo && mkdir /data

FROM ${RUN_BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Postrider" \
      org.opencontainers.image.description="An ordered, acknowledged mailbox for every device, over MQTT" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=dependencies /src/node_modules /opt/postrider/node_modules
COPY --from=build /src/cli/package.json /opt/postrider/cli/
COPY --from=build /src/cli/bin /opt/postrider/cli/bin
COPY --from=build /src/cli/dev-page /opt/postrider/cli/dev-page
COPY --from=build /src/cli/dist /opt/postrider/cli/dist
COPY LICENSE /opt/postrider/
COPY --from=build --chown=65532:65532 /data /var/lib/postrider
# In a container, loopback is for nobody but itself.
ENV NODE_ENV=production POSTRIDER_HOST=0.0.0.0 POSTRIDER_STORE=file:/var/lib/postrider/data
WORKDIR /var/lib/postrider
USER 65532:65532
EXPOSE 1883 8083 8080 8883 8084 8443 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/nodejs/bin/node", "-e", "fetch('http://127.0.0.1:' + (process.env.POSTRIDER_ADMIN_PORT || 9090) + '/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node", "/opt/postrider/cli/bin/postrider.js"]
CMD ["serve"]

# syntax=docker/dockerfile:1
# One image: webhook, command line, copier and the agent's jar. `cargo xtask image` writes the same content as an
# archive without a container engine.
#
# In a closed network set RUST_IMAGE and MAVEN_IMAGE to your mirror's.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG MAVEN_IMAGE=maven:3.9-eclipse-temurin-17

# Static against glibc, whose allocator is replaced, so that it runs on an empty root. With an explicit target, or
# the flag would also be tried on procedural macros.
FROM ${RUST_IMAGE} AS program
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --package javelin --release --locked --target "$target" \
    && cp "target/$target/release/javelin" /javelin

FROM ${MAVEN_IMAGE} AS agent
WORKDIR /agent
COPY agent.lock .
RUN --mount=type=cache,target=/root/.m2 \
    version="$(sed -n 's/^version = "\(.*\)"$/\1/p' agent.lock)" \
    && sha256="$(sed -n 's/^sha256 = "\(.*\)"$/\1/p' agent.lock)" \
    && mvn --batch-mode --no-transfer-progress org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
       -Dartifact="io.opentelemetry.javaagent:opentelemetry-javaagent:$version" \
       -DoutputDirectory=/agent -Dmdep.stripVersion=true \
    && echo "$sha256  opentelemetry-javaagent.jar" | sha256sum --check \
    && jar --extract --file opentelemetry-javaagent.jar META-INF/licenses \
    && find META-INF/licenses -type f -exec chmod 0444 {} +

FROM scratch
# Who builds it says these, by --build-arg: the address of the repository, and the commit.
ARG SOURCE=""
ARG REVISION=""
COPY --from=agent --chmod=0444 /agent/opentelemetry-javaagent.jar /javaagent.jar
COPY --from=agent --chmod=0444 /agent/agent.lock /licenses/javaagent/agent.lock
COPY --from=agent /agent/META-INF/licenses/ /licenses/javaagent/
COPY --from=program --chmod=0555 /javelin /javelin
COPY --chmod=0444 LICENSE /licenses/javelin/LICENSE
COPY --chmod=0444 THIRD-PARTY /licenses/javelin/THIRD-PARTY
# Or the allocator asks for huge pages, and a server that idles holds 12 MB of nothing.
# What is free goes back at once. With a delay, the allocator can stop giving back for good (docs/adr/0003-a-small-program.md).
ENV MIMALLOC_ALLOW_THP=0 MIMALLOC_PURGE_DELAY=0
# A number, or the kubelet cannot tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/javelin"]
LABEL org.opencontainers.image.title="javelin" \
      org.opencontainers.image.description="Puts the OpenTelemetry Java agent into labelled Kubernetes pods" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="scratch" \
      org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION

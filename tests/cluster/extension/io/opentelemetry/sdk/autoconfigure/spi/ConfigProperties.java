package io.opentelemetry.sdk.autoconfigure.spi;

/** To compile against; the agent brings the real one. */
public interface ConfigProperties {
  String getString(String name);
}

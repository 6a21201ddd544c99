package io.opentelemetry.sdk.autoconfigure.spi;

import java.util.Map;
import java.util.function.Function;

/** To compile against; the agent brings the real one. */
public interface AutoConfigurationCustomizer {
  AutoConfigurationCustomizer addPropertiesCustomizer(
      Function<ConfigProperties, Map<String, String>> customizer);
}

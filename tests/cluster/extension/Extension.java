import io.opentelemetry.sdk.autoconfigure.spi.AutoConfigurationCustomizer;
import io.opentelemetry.sdk.autoconfigure.spi.AutoConfigurationCustomizerProvider;
import java.util.Map;

/** An extension of the agent that adds an attribute to the resource. */
public final class Extension implements AutoConfigurationCustomizerProvider {
  private static final String ATTRIBUTES = "otel.resource.attributes";

  @Override
  public void customize(AutoConfigurationCustomizer customizer) {
    customizer.addPropertiesCustomizer(
        config -> Map.of(ATTRIBUTES, config.getString(ATTRIBUTES) + ",extension=loaded"));
  }
}

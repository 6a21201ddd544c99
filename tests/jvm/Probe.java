import java.lang.management.ManagementFactory;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/** Says what this JVM was started with, and who the agent thinks that it is: a line a fact, texts in hexadecimal. */
final class Probe {
    public static void main(String[] arguments) throws ReflectiveOperationException {
        for (String option : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
            say("option", option);
        }
        for (String name : System.getProperties().stringPropertyNames()) {
            say("property", name, System.getProperty(name));
        }
        if (Arrays.asList(arguments).contains("resource")) {
            resource();
        }
    }

    /** The agent's own SDK, as its instrumentations find it: a span carries the resource. */
    private static void resource() throws ReflectiveOperationException {
        Object telemetry = Class.forName("io.opentelemetry.javaagent.shaded.io.opentelemetry.api.GlobalOpenTelemetry")
            .getMethod("get")
            .invoke(null);
        Object tracer = call(telemetry, "getTracer", "probe");
        Object span = call(call(tracer, "spanBuilder", "probe"), "startSpan");
        Object attributes = call(call(call(span, "toSpanData"), "getResource"), "getAttributes");
        for (Map.Entry<?, ?> attribute : ((Map<?, ?>) call(attributes, "asMap")).entrySet()) {
            say("attribute", (String) call(attribute.getKey(), "getKey"), String.valueOf(attribute.getValue()));
        }
    }

    private static Object call(Object object, String name, Object... arguments) throws ReflectiveOperationException {
        for (Method method : object.getClass().getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == arguments.length) {
                method.setAccessible(true);
                return method.invoke(object, arguments);
            }
        }
        throw new NoSuchMethodException(object.getClass() + " has no " + name);
    }

    private static void say(String kind, String... texts) {
        StringBuilder line = new StringBuilder("probe ").append(kind);
        for (String text : texts) {
            line.append(' ').append('.');
            for (byte octet : text.getBytes(StandardCharsets.UTF_8)) {
                line.append(String.format("%02x", octet));
            }
        }
        System.out.println(line);
    }
}

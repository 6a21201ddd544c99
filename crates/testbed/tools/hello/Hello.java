import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;

/** Answers every request on port 8080 with the version that it runs on. In the language of Java 8. */
public final class Hello {
    public static void main(String[] args) throws IOException {
        byte[] version = System.getProperty("java.version").getBytes("US-ASCII");
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, version.length);
            exchange.getResponseBody().write(version);
            exchange.close();
        });
        server.start();
    }
}

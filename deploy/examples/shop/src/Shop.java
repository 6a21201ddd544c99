import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.ServiceLoader;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A small shop of two services in one program. SHOP_ROLE says which one this is: {@code stock} knows what is on the
 * shelf, {@code orders} takes an order and asks stock first.
 */
public final class Shop {
    private static final int PORT = 8080;
    private static final String HEALTH = "/healthz";
    private static final Duration STOCK_TIMEOUT = Duration.ofSeconds(2);
    private static final int LINGER_SECONDS = 2;
    private static final int STOP_SECONDS = 5;

    private static final Logger LOG = Logger.getLogger("shop");

    public static void main(String[] args) throws IOException {
        logLinesToStandardOutput();
        String role = System.getenv().getOrDefault("SHOP_ROLE", "");
        Service service;
        switch (role) {
            case "orders" -> service = new Orders(stockUrl());
            case "stock" -> service = new Stock(ServiceLoader.load(Shelf.class).findFirst().orElseGet(Shelf::inMemory));
            default -> {
                System.err.println("SHOP_ROLE has to be orders or stock");
                System.exit(2);
                return;
            }
        }
        serve(role, service);
    }

    /** A line is a message and nothing else; by default java.util.logging writes two, to standard error. */
    private static void logLinesToStandardOutput() {
        Logger root = Logger.getLogger("");
        for (Handler handler : root.getHandlers()) {
            root.removeHandler(handler);
        }
        root.addHandler(new Handler() {
            @Override
            public void publish(LogRecord line) {
                System.out.println(line.getMessage());
                if (line.getThrown() != null) {
                    line.getThrown().printStackTrace(System.out);
                }
            }

            @Override
            public void flush() {
                System.out.flush();
            }

            @Override
            public void close() {}
        });
    }

    private static URI stockUrl() {
        String url = System.getenv("STOCK_URL");
        if (url == null || url.isBlank()) {
            System.err.println("STOCK_URL has to say where stock is");
            System.exit(2);
        }
        return URI.create(url);
    }

    private static void serve(String role, Service service) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(PORT), 0);
        ExecutorService workers = Executors.newFixedThreadPool(8);
        server.setExecutor(workers);
        server.createContext("/", exchange -> handle(role, service, exchange));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(role, server, workers)));
        server.start();
        LOG.info(role + " listens on " + PORT);
    }

    /** Serves on for a moment, as callers learn late that this pod goes; then lets open requests finish. */
    private static void stop(String role, HttpServer server, ExecutorService workers) {
        LOG.info(role + " stops");
        try {
            TimeUnit.SECONDS.sleep(LINGER_SECONDS);
            workers.shutdown();
            workers.awaitTermination(STOP_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        // No delay here: JDK 17 waits for all of it, even when nothing is open.
        server.stop(0);
    }

    private static void handle(String role, Service service, HttpExchange exchange) throws IOException {
        long start = System.nanoTime();
        Answer answer;
        try {
            answer = answer(service, exchange);
        } catch (RuntimeException e) {
            LOG.log(Level.SEVERE, role + " failed", e);
            answer = Answer.error(500, "something went wrong here");
        }
        byte[] body = (answer.body() + "\n").getBytes(StandardCharsets.UTF_8);
        boolean head = exchange.getRequestMethod().equals("HEAD");
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        try (exchange) {
            exchange.sendResponseHeaders(answer.status(), head ? -1 : body.length);
            if (!head) {
                exchange.getResponseBody().write(body);
            }
        } finally {
            log(role, exchange, answer.status(), start);
        }
    }

    private static void log(String role, HttpExchange exchange, int status, long start) {
        String path = exchange.getRequestURI().getRawPath();
        // The kubelet asks every few seconds; that is no news.
        if (!path.equals(HEALTH)) {
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            LOG.info("%s %s %s %d %dms".formatted(role, exchange.getRequestMethod(), path, status, millis));
        }
    }

    private static Answer answer(Service service, HttpExchange exchange) {
        if (!exchange.getRequestMethod().equals("GET")) {
            exchange.getResponseHeaders().set("Allow", "GET");
            return Answer.error(405, "only GET is known here");
        }
        String path = exchange.getRequestURI().getPath();
        if (path.equals(HEALTH)) {
            return new Answer(200, "{\"status\":\"ok\"}");
        }
        if (!path.startsWith(service.prefix())) {
            return Answer.error(404, "no such page");
        }
        String item = path.substring(service.prefix().length());
        if (!item.matches("[a-z][a-z0-9-]{0,39}")) {
            return Answer.error(400, "an item is a word in small letters");
        }
        return service.get(item);
    }

    /** One role: what it does with an item. The item's name is safe in a path and in JSON as it is. */
    private interface Service {
        String prefix();

        Answer get(String item);
    }

    private record Answer(int status, String body) {
        static Answer error(int status, String message) {
            return new Answer(status, "{\"error\":\"" + message + "\"}");
        }
    }

    private static final class Stock implements Service {
        private final Shelf shelf;

        Stock(Shelf shelf) {
            this.shelf = shelf;
        }

        @Override
        public String prefix() {
            return "/stock/";
        }

        @Override
        public Answer get(String item) {
            OptionalInt pieces = shelf.pieces(item);
            if (pieces.isEmpty()) {
                return Answer.error(404, "we do not sell " + item);
            }
            return new Answer(200, "{\"item\":\"" + item + "\",\"pieces\":" + pieces.getAsInt() + "}");
        }
    }

    private static final class Orders implements Service {
        private static final Pattern PIECES = Pattern.compile("\"pieces\"\\s*:\\s*(\\d{1,9})\\b");

        private final URI stock;
        private final AtomicLong number = new AtomicLong(1000);
        private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(STOCK_TIMEOUT)
            .build();

        Orders(URI stock) {
            this.stock = stock;
        }

        @Override
        public String prefix() {
            return "/order/";
        }

        @Override
        public Answer get(String item) {
            HttpRequest request = HttpRequest.newBuilder(stock.resolve("/stock/" + item)).timeout(STOCK_TIMEOUT).build();
            HttpResponse<String> response;
            try {
                response = client.send(request, HttpResponse.BodyHandlers.ofString());
            } catch (IOException e) {
                LOG.warning("orders cannot reach stock at " + stock + ": " + e);
                return Answer.error(503, "the stock room does not answer");
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return Answer.error(503, "closing time");
            }
            if (response.statusCode() == 404) {
                return Answer.error(404, "we do not sell " + item);
            }
            Matcher pieces = PIECES.matcher(response.body());
            if (response.statusCode() != 200 || !pieces.find()) {
                LOG.warning("orders got " + response.statusCode() + " from stock at " + stock);
                return Answer.error(502, "the stock room gave no sensible answer");
            }
            if (Integer.parseInt(pieces.group(1)) == 0) {
                return Answer.error(409, item + " is sold out");
            }
            return new Answer(200,
                "{\"order\":" + number.incrementAndGet() + ",\"item\":\"" + item + "\",\"status\":\"accepted\"}");
        }
    }
}

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.OptionalInt;
import java.util.logging.Logger;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.params.SetParams;

/** PostgreSQL, with a cache of two seconds in Redis. The environment says where both are. */
public final class DatabaseShelf implements Shelf {
    private static final Logger LOG = Logger.getLogger("shop.shelf");
    private static final int CACHED_SECONDS = 2;

    private final String database = setting("STOCK_DATABASE_URL");
    private final String user = setting("STOCK_DATABASE_USER");
    private final String password = setting("STOCK_DATABASE_PASSWORD");
    private final RedisClient cache = RedisClient.create(setting("STOCK_CACHE_URL"));

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null || value.isBlank()) {
            throw new IllegalStateException(name + " has to be set");
        }
        return value;
    }

    @Override
    public OptionalInt pieces(String item) {
        String known = cache.get("pieces:" + item);
        if (known != null) {
            return OptionalInt.of(Integer.parseInt(known));
        }
        OptionalInt found = fromDatabase(item);
        LOG.info("looked for " + item + " in the database");
        if (found.isPresent()) {
            cache.set("pieces:" + item, Integer.toString(found.getAsInt()), SetParams.setParams().ex(CACHED_SECONDS));
        }
        return found;
    }

    private OptionalInt fromDatabase(String item) {
        String query = "SELECT pieces FROM shelf WHERE item = ?";
        try (Connection connection = DriverManager.getConnection(database, user, password);
            PreparedStatement statement = connection.prepareStatement(query)) {
            statement.setString(1, item);
            try (ResultSet rows = statement.executeQuery()) {
                return rows.next() ? OptionalInt.of(rows.getInt(1)) : OptionalInt.empty();
            }
        } catch (SQLException e) {
            throw new IllegalStateException("the database does not answer", e);
        }
    }
}

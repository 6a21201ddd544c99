import java.util.Map;
import java.util.OptionalInt;

/** What is on the shelf: in memory by default, or what {@link java.util.ServiceLoader} finds, such as a database. */
public interface Shelf {
    /** How many pieces of an item there are; empty where it is not sold. */
    OptionalInt pieces(String item);

    /** The shelf of a program without a database. */
    static Shelf inMemory() {
        Map<String, Integer> pieces = Map.of("tea", 12, "coffee", 7, "honey", 3, "saffron", 0);
        return item -> pieces.containsKey(item) ? OptionalInt.of(pieces.get(item)) : OptionalInt.empty();
    }
}

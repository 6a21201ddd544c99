/** Stands in for another agent, whose jar is in an image that is not here. */
public final class Neighbour {
    public static void premain(String arguments) {
        System.out.println("neighbour " + arguments);
    }
}

import java.util.HashSet;
import java.util.Set;

/**
 * A client at steady work, while servers are replaced under it: creates numbered znodes, counts in one znode,
 * reads back, and keeps an ephemeral. The client library is behind {@link Client}.
 *
 * <p>Prints {@code progress WRITES LOSSES GAP_MS} every half second, {@code FAIL reason} for anything but a lost
 * connection, and, when a line arrives on stdin, looks whether everything acknowledged is there and prints
 * {@code done WRITES LOSSES GAP_MS}.
 */
final class Steady {
    /** What the work needs of a client library. */
    interface Client {
        void create(String path, String data, boolean ephemeral) throws Exception;

        void set(String path, String data, int version) throws Exception;

        /** Version and data. */
        Versioned get(String path) throws Exception;

        Set<String> children(String path) throws Exception;

        long owner(String path) throws Exception;

        long session() throws Exception;

        void close() throws Exception;

        boolean isLoss(Exception error);

        boolean isNodeExists(Exception error);

        boolean isBadVersion(Exception error);
    }

    record Versioned(int version, String data) {}

    interface Call {
        void run(boolean again) throws Exception;
    }

    private final Client client;
    private final String base;
    private volatile boolean stop;
    private volatile long writes;
    private volatile long losses;
    private volatile long gapMs;
    private long answered;
    private int created;
    private int counter;

    private Steady(Client client, String name) {
        this.client = client;
        this.base = "/steady/" + name;
    }

    static void fail(Object reason) {
        System.out.println("FAIL " + String.valueOf(reason).replace('\n', ' '));
    }

    /** Works until a line arrives on stdin, and ends the process. */
    static void run(Client client, String name) throws Exception {
        Steady steady = new Steady(client, name);
        Thread worker = new Thread(() -> {
            try {
                steady.work();
            } catch (Throwable error) {
                error.printStackTrace();
                fail(error);
            }
        });
        worker.start();
        Thread reporter = new Thread(() -> {
            while (worker.isAlive()) {
                steady.report("progress");
                try {
                    Thread.sleep(500);
                } catch (InterruptedException end) {
                    return;
                }
            }
        });
        reporter.setDaemon(true);
        reporter.start();
        for (int letter = System.in.read(); letter != '\n' && letter >= 0; letter = System.in.read()) {}
        steady.stop = true;
        worker.join(60_000);
        steady.report("done");
        System.exit(0);
    }

    private void report(String word) {
        System.out.println(word + " " + writes + " " + losses + " " + gapMs);
    }

    private void untilAnswered(Call call) throws Exception {
        boolean again = false;
        while (true) {
            try {
                call.run(again);
                long now = System.nanoTime();
                gapMs = Math.max(gapMs, (now - answered) / 1_000_000);
                answered = now;
                return;
            } catch (Exception error) {
                if (!client.isLoss(error)) {
                    throw error;
                }
                losses++;
                again = true;
                Thread.sleep(20);
            }
        }
    }

    private void create(String path, String data, boolean ephemeral, boolean again) throws Exception {
        try {
            client.create(path, data, ephemeral);
        } catch (Exception error) {
            if (!again || !client.isNodeExists(error)) {
                throw error;
            }
        }
    }

    private void count(boolean again) throws Exception {
        try {
            client.set(base + "/counter", String.valueOf(counter + 1), counter);
        } catch (Exception error) {
            if (!client.isBadVersion(error)) {
                throw error;
            }
            Versioned now = client.get(base + "/counter");
            Harness.that(again && now.version() == counter + 1, "the counter is " + now + " after " + counter);
        }
    }

    private void look() throws Exception {
        Versioned now = client.get(base + "/counter");
        boolean same = now.version() == counter && now.data().equals(String.valueOf(counter));
        Harness.that(same, "read " + now + " after writing " + counter);
    }

    private void work() throws Exception {
        answered = System.nanoTime();
        untilAnswered(again -> create("/steady", "", false, true));
        untilAnswered(again -> create(base, "", false, again));
        untilAnswered(again -> create(base + "/counter", "0", false, again));
        untilAnswered(again -> create(base + "/alive", "", true, again));
        long session = client.session();
        gapMs = 0;
        while (!stop) {
            untilAnswered(again -> create(base + "/n" + created, String.valueOf(created), false, again));
            created++;
            untilAnswered(this::count);
            counter++;
            writes += 2;
            untilAnswered(again -> look());
            Thread.sleep(5);
        }
        untilAnswered(again -> verify(session));
        client.close();
    }

    private void verify(long session) throws Exception {
        Set<String> names = new HashSet<>(client.children(base));
        for (int number = 0; number < created; number++) {
            Harness.that(names.contains("n" + number), "the acknowledged znode n" + number + " is gone");
        }
        boolean same = client.owner(base + "/alive") == session && client.session() == session;
        Harness.that(same, "the session changed");
    }
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** The Java client with canBeReadOnly, told what to do line by line; the commands are those of read_only.py. */
public final class ReadOnly {
    private static final long PATIENCE_MS = 60_000;
    private final String servers;
    private final LinkedBlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
    private ZooKeeper client;
    private long lastSession = -1;

    private ReadOnly(String servers) {
        this.servers = servers;
    }

    private String now() {
        switch (client.getState()) {
            case CONNECTED:
                return "rw";
            case CONNECTEDREADONLY:
                return "ro";
            default:
                return "off";
        }
    }

    private String waitFor(String wanted) throws InterruptedException {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (!now().equals(wanted) && System.currentTimeMillis() < deadline) {
            Thread.sleep(20);
        }
        return now();
    }

    private String stay(String wanted, long ms) throws InterruptedException {
        long deadline = System.currentTimeMillis() + ms;
        while (System.currentTimeMillis() < deadline) {
            if (!now().equals(wanted)) {
                return now();
            }
            Thread.sleep(20);
        }
        return "stayed";
    }

    private String connect() throws Exception {
        client = new ZooKeeper(servers, 20_000, event -> { }, true);
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (now().equals("off") && System.currentTimeMillis() < deadline) {
            Thread.sleep(20);
        }
        return now().equals("off") ? "off" : "connected";
    }

    private String event() throws InterruptedException {
        WatchedEvent event = events.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
        if (event == null) {
            return "EmptyError";
        }
        return (event.getType() == Watcher.Event.EventType.NodeDataChanged ? "CHANGED" : event.getType().name())
            + " " + event.getPath();
    }

    private String session() {
        long was = lastSession;
        lastSession = client.getSessionId();
        return was == lastSession ? "same" : "new";
    }

    private String obey(String[] words) throws Exception {
        switch (words[0]) {
            case "connect":
                return connect();
            case "state":
                return waitFor(words[1]);
            case "stay":
                return stay(words[1], Long.parseLong(words[2]));
            case "get":
                byte[] data = client.getData(words[1], this::keep, null);
                return "data " + new String(data, StandardCharsets.UTF_8);
            case "set":
                client.setData(words[1], words[2].getBytes(StandardCharsets.UTF_8), -1);
                return "ok";
            case "create":
                client.create(words[1], new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                return "ok";
            case "ephemeral":
                client.create(words[1], new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
                return "ok";
            case "event":
                return event();
            case "session":
                return session();
            default:
                return "unknown command " + words[0];
        }
    }

    private void keep(WatchedEvent event) {
        if (event.getType() != Watcher.Event.EventType.None) {
            events.add(event);
        }
    }

    public static void main(String[] arguments) throws Exception {
        ReadOnly program = new ReadOnly(arguments[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = program.obey(line.split(" "));
            } catch (KeeperException error) {
                answer = error.getClass().getSimpleName().replace("Exception", "") + "Error";
            }
            System.out.println(answer);
            System.out.flush();
        }
        System.exit(0);
    }
}

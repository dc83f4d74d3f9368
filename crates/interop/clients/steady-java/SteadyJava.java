import java.util.HashSet;
import java.util.Set;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Steady work through the Java client itself. */
public final class SteadyJava implements Steady.Client {
    private final ZooKeeper zookeeper;

    private SteadyJava(String servers) throws Exception {
        zookeeper = new ZooKeeper(servers, 20_000, event -> {
            if (event.getState() == KeeperState.Expired) {
                Steady.fail("the session expired");
            }
        });
    }

    public static void main(String[] arguments) throws Exception {
        Steady.run(new SteadyJava(arguments[0]), "java");
    }

    @Override
    public void create(String path, String data, boolean ephemeral) throws Exception {
        CreateMode mode = ephemeral ? CreateMode.EPHEMERAL : CreateMode.PERSISTENT;
        zookeeper.create(path, data.getBytes(), ZooDefs.Ids.OPEN_ACL_UNSAFE, mode);
    }

    @Override
    public void set(String path, String data, int version) throws Exception {
        zookeeper.setData(path, data.getBytes(), version);
    }

    @Override
    public Steady.Versioned get(String path) throws Exception {
        Stat stat = new Stat();
        String data = new String(zookeeper.getData(path, false, stat));
        return new Steady.Versioned(stat.getVersion(), data);
    }

    @Override
    public Set<String> children(String path) throws Exception {
        return new HashSet<>(zookeeper.getChildren(path, false));
    }

    @Override
    public long owner(String path) throws Exception {
        return zookeeper.exists(path, false).getEphemeralOwner();
    }

    @Override
    public long session() {
        return zookeeper.getSessionId();
    }

    @Override
    public void close() throws Exception {
        zookeeper.close();
    }

    @Override
    public boolean isLoss(Exception error) {
        return error instanceof KeeperException.ConnectionLossException;
    }

    @Override
    public boolean isNodeExists(Exception error) {
        return error instanceof KeeperException.NodeExistsException;
    }

    @Override
    public boolean isBadVersion(Exception error) {
        return error instanceof KeeperException.BadVersionException;
    }
}

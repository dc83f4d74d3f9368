import java.util.HashSet;
import java.util.Set;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** Steady work through Curator, which hides lost connections behind retries of its own. */
public final class SteadyCurator implements Steady.Client {
    private final CuratorFramework curator;

    private SteadyCurator(String servers) {
        curator = CuratorFrameworkFactory.builder()
                .connectString(servers)
                .sessionTimeoutMs(20_000)
                .connectionTimeoutMs(5_000)
                .retryPolicy(new RetryForever(50))
                .build();
        curator.getConnectionStateListenable().addListener((client, state) -> {
            if (state == ConnectionState.LOST) {
                Steady.fail("the session was lost");
            }
        });
        curator.start();
    }

    public static void main(String[] arguments) throws Exception {
        Steady.run(new SteadyCurator(arguments[0]), "curator");
    }

    @Override
    public void create(String path, String data, boolean ephemeral) throws Exception {
        CreateMode mode = ephemeral ? CreateMode.EPHEMERAL : CreateMode.PERSISTENT;
        try {
            curator.create().withMode(mode).forPath(path, data.getBytes());
        } catch (KeeperException.NodeExistsException error) {
            // Curator has repeated a create whose answer was lost.
            if (!new String(curator.getData().forPath(path)).equals(data)) {
                throw error;
            }
        }
    }

    @Override
    public void set(String path, String data, int version) throws Exception {
        try {
            curator.setData().withVersion(version).forPath(path, data.getBytes());
        } catch (KeeperException.BadVersionException error) {
            Steady.Versioned now = get(path);
            if (now.version() != version + 1 || !now.data().equals(data)) {
                throw error;
            }
        }
    }

    @Override
    public Steady.Versioned get(String path) throws Exception {
        Stat stat = new Stat();
        String data = new String(curator.getData().storingStatIn(stat).forPath(path));
        return new Steady.Versioned(stat.getVersion(), data);
    }

    @Override
    public Set<String> children(String path) throws Exception {
        return new HashSet<>(curator.getChildren().forPath(path));
    }

    @Override
    public long owner(String path) throws Exception {
        return curator.checkExists().forPath(path).getEphemeralOwner();
    }

    @Override
    public long session() throws Exception {
        return curator.getZookeeperClient().getZooKeeper().getSessionId();
    }

    @Override
    public void close() {
        curator.close();
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

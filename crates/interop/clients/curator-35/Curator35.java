import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/** What Curator can do as well when its Java client is 3.5 or newer. */
public class Curator35 extends Curator {
    public Curator35(String address) {
        super(address);
    }

    public static void main(String[] arguments) {
        Harness.runAll(new Curator35(arguments[0]));
    }

    @Harness.Check
    public void containersAndTtl(String base) throws Exception {
        zk.create().creatingParentContainersIfNeeded().forPath(base + "/in/a");
        zk.delete().forPath(base + "/in/a");
        Harness.eventually(() -> zk.checkExists().forPath(base + "/in") == null, "the empty container is removed");
        make(base + "-ttl");
        zk.create().withTtl(200).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath(base + "-ttl/t");
        Harness.eventually(() -> zk.checkExists().forPath(base + "-ttl/t") == null, "the TTL node is removed");
    }

    @Harness.Check
    public void createWithStat(String base) throws Exception {
        Stat stat = new Stat();
        zk.create().storingStatIn(stat).creatingParentsIfNeeded().forPath(base, bytes("x"));
        Harness.equal(zk.checkExists().forPath(base), stat);
    }

    @Harness.Check
    public void watchesAreRemoved(String base) throws Exception {
        make(base);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorWatcher watcher = event -> seen.add(event.getType() + " " + event.getPath());
        zk.getData().usingWatcher(watcher).forPath(base);
        zk.watches().remove(watcher).forPath(base);
        Harness.equal(next(seen), "DataWatchRemoved " + base);
        zk.setData().forPath(base, bytes("1"));
        zk.sync().forPath(base);
        Harness.that(seen.isEmpty(), "a removed watch is silent");
    }

    @Harness.Check
    public void configurationNode(String base) throws Exception {
        Harness.that(zk.getConfig().forEnsemble() != null, "the configuration can be read");
    }
}

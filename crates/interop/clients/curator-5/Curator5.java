import static java.util.Arrays.asList;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.AddWatchMode;

/** What Curator 5 brings: persistent watches and the cache built on them. */
public final class Curator5 extends Curator35 {
    public Curator5(String address) {
        super(address);
    }

    public static void main(String[] arguments) {
        Harness.runAll(new Curator5(arguments[0]));
    }

    @Harness.Check
    public void persistentWatches(String base) throws Exception {
        make(base);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorWatcher watcher = event -> seen.add(event.getType() + " " + event.getPath());
        zk.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(watcher).forPath(base);
        make(base + "/a");
        zk.setData().forPath(base + "/a", bytes("1"));
        zk.setData().forPath(base + "/a", bytes("2"));
        Harness.equal(asList(next(seen), next(seen), next(seen)), asList("NodeCreated " + base + "/a",
                "NodeDataChanged " + base + "/a", "NodeDataChanged " + base + "/a"));
    }

    @Harness.Check
    public void cacheFollowsThroughARestart(String base) throws Exception {
        make(base + "/a");
        CuratorFramework owner = connect();
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorCache cache = CuratorCache.build(owner, base);
        cache.listenable().addListener(
                CuratorCacheListener.builder().forCreates(node -> seen.add(node.getPath())).build());
        cache.start();
        Harness.equal(Harness.sorted(asList(next(seen), next(seen))), asList(base, base + "/a"));
        PersistentWatcher watcher = new PersistentWatcher(owner, base, true);
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        watcher.getListenable().addListener(event -> {
            if (event.getPath() != null) {
                events.add(event.getType() + " " + event.getPath());
            }
        });
        watcher.start();
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        owner.getConnectionStateListenable().addListener((client, state) -> states.add(state));
        Harness.restartServer();
        Harness.equal(next(states), ConnectionState.SUSPENDED);
        Harness.equal(next(states), ConnectionState.RECONNECTED);
        // What changes before the watches are set again is not told: their request precedes this one.
        Harness.that(owner.checkExists().forPath(base) != null, "the owner is back");
        make(base + "/b/c");
        Harness.equal(asList(next(seen), next(seen)), asList(base + "/b", base + "/b/c"));
        Harness.equal(next(events), "NodeCreated " + base + "/b");
        cache.close();
        watcher.close();
        owner.close();
    }
}

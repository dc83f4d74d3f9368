import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Arrays.asList;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;

/** Checks of a server through Apache Curator: what every supported Curator and Java client can do. */
public class Curator {
    static final int PATIENCE = Harness.PATIENCE_MS;
    final String address;
    final CuratorFramework zk;

    public Curator(String address) {
        this.address = address;
        this.zk = connect();
    }

    public static void main(String[] arguments) {
        Harness.runAll(new Curator(arguments[0]));
    }

    final CuratorFramework connect() {
        return connect(null);
    }

    final CuratorFramework connect(String digestUser) {
        CuratorFrameworkFactory.Builder builder = CuratorFrameworkFactory.builder().connectString(address)
                .sessionTimeoutMs(10_000).connectionTimeoutMs(PATIENCE).retryPolicy(new RetryNTimes(50, 100));
        if (digestUser != null) {
            builder.authorization("digest", bytes(digestUser));
        }
        CuratorFramework client = builder.build();
        client.start();
        return client;
    }

    static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    final void make(String path) throws Exception {
        zk.create().creatingParentsIfNeeded().forPath(path, new byte[0]);
    }

    static <T> T next(BlockingQueue<T> queue) throws Exception {
        T value = queue.poll(PATIENCE, TimeUnit.MILLISECONDS);
        Harness.that(value != null, "nothing came");
        return value;
    }

    @Harness.Check
    public void createGetSetDelete(String base) throws Exception {
        zk.create().creatingParentsIfNeeded().forPath(base + "/a", bytes("one"));
        Stat stat = new Stat();
        Harness.equalBytes(zk.getData().storingStatIn(stat).forPath(base + "/a"), bytes("one"));
        Harness.equal(zk.checkExists().forPath(base + "/a"), stat);
        Harness.equal(zk.setData().withVersion(0).forPath(base + "/a", bytes("two")).getVersion(), 1);
        Harness.equal(zk.getChildren().forPath(base), asList("a"));
        zk.delete().guaranteed().deletingChildrenIfNeeded().forPath(base);
        Harness.equal(zk.checkExists().forPath(base), null);
        Harness.refused(KeeperException.NoNodeException.class, () -> zk.getData().forPath(base));
    }

    @Harness.Check
    public void createModes(String base) throws Exception {
        make(base);
        zk.create().withMode(CreateMode.EPHEMERAL).forPath(base + "/e");
        String first = zk.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(base + "/s-");
        Harness.equal(first, base + "/s-0000000001");
        String protectedPath =
                zk.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(base + "/p-");
        Harness.that(protectedPath.startsWith(base + "/_c_") && protectedPath.endsWith("p-0000000002"), protectedPath);
        zk.create().orSetData().forPath(base + "/e", bytes("again"));
        Harness.equalBytes(zk.getData().forPath(base + "/e"), bytes("again"));
    }

    @Harness.Check
    public void backgroundCallsAndSync(String base) throws Exception {
        make(base);
        BlockingQueue<String> done = new LinkedBlockingQueue<>();
        zk.create().inBackground((client, event) -> done.add(event.getType() + " " + event.getResultCode()))
                .forPath(base + "/b");
        Harness.equal(next(done), "CREATE 0");
        zk.sync().inBackground((client, event) -> done.add(event.getType() + " " + event.getPath())).forPath(base);
        Harness.equal(next(done), "SYNC " + base);
        zk.delete().inBackground((client, event) -> done.add(event.getType() + " " + event.getResultCode()))
                .forPath(base + "/none");
        Harness.equal(next(done), "DELETE -101");
    }

    @Harness.Check
    public void transactions(String base) throws Exception {
        make(base);
        List<CuratorTransactionResult> results = zk.transaction().forOperations(
                zk.transactionOp().create().forPath(base + "/a", bytes("1")),
                zk.transactionOp().check().withVersion(0).forPath(base + "/a"),
                zk.transactionOp().setData().forPath(base + "/a", bytes("2")),
                zk.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(base + "/s-"));
        Harness.equal(results.stream().map(CuratorTransactionResult::getResultPath).collect(Collectors.toList()),
                asList(base + "/a", null, null, base + "/s-0000000001"));
        Harness.refused(KeeperException.NodeExistsException.class, () -> zk.transaction().forOperations(
                zk.transactionOp().delete().forPath(base + "/a"), zk.transactionOp().create().forPath(base)));
        Harness.equalBytes(zk.getData().forPath(base + "/a"), bytes("2"));
    }

    @Harness.Check
    public void accessLists(String base) throws Exception {
        CuratorFramework owner = connect("ann:secret");
        make(base);
        owner.create().withACL(Ids.CREATOR_ALL_ACL).forPath(base + "/private", bytes("p"));
        Harness.refused(KeeperException.NoAuthException.class, () -> zk.getData().forPath(base + "/private"));
        Harness.equalBytes(owner.getData().forPath(base + "/private"), bytes("p"));
        Harness.equal(owner.setACL().withVersion(0).withACL(Ids.READ_ACL_UNSAFE).forPath(base + "/private")
                .getAversion(), 1);
        Harness.equal(zk.getACL().forPath(base + "/private"), Ids.READ_ACL_UNSAFE);
        Harness.equalBytes(zk.getData().forPath(base + "/private"), bytes("p"));
        owner.close();
    }

    @Harness.Check
    public void watches(String base) throws Exception {
        make(base);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorWatcher watcher = event -> seen.add(event.getType() + " " + event.getPath());
        zk.checkExists().usingWatcher(watcher).forPath(base + "/a");
        make(base + "/a");
        Harness.equal(next(seen), "NodeCreated " + base + "/a");
        zk.getData().usingWatcher(watcher).forPath(base + "/a");
        zk.setData().forPath(base + "/a", bytes("1"));
        Harness.equal(next(seen), "NodeDataChanged " + base + "/a");
        zk.getChildren().usingWatcher(watcher).forPath(base);
        zk.delete().forPath(base + "/a");
        Harness.equal(next(seen), "NodeChildrenChanged " + base);
    }

    @Harness.Check
    public void namespace(String base) throws Exception {
        make(base);
        CuratorFramework inside = zk.usingNamespace(base.substring(1));
        inside.create().forPath("/a", bytes("in"));
        Harness.equalBytes(zk.getData().forPath(base + "/a"), bytes("in"));
    }

    @Harness.Check
    public void mutex(String base) throws Exception {
        CuratorFramework other = connect();
        InterProcessMutex first = new InterProcessMutex(zk, base);
        InterProcessMutex second = new InterProcessMutex(other, base);
        Harness.that(first.acquire(PATIENCE, TimeUnit.MILLISECONDS), "the first gets it");
        Harness.that(first.acquire(PATIENCE, TimeUnit.MILLISECONDS), "it is reentrant");
        Harness.that(!second.acquire(200, TimeUnit.MILLISECONDS), "the second does not");
        first.release();
        first.release();
        Harness.that(second.acquire(PATIENCE, TimeUnit.MILLISECONDS), "then the second does");
        second.release();
        other.close();
    }

    @Harness.Check
    public void mutexUnderContention(String base) throws Exception {
        CuratorFramework other = connect();
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger rounds = new AtomicInteger();
        List<CompletableFuture<Void>> workers = new ArrayList<>();
        for (int worker = 0; worker < 4; worker++) {
            CuratorFramework client = worker % 2 == 0 ? zk : other;
            workers.add(inThread(() -> {
                InterProcessMutex mutex = new InterProcessMutex(client, base);
                for (int round = 0; round < 10; round++) {
                    Harness.that(mutex.acquire(PATIENCE, TimeUnit.MILLISECONDS), "acquired");
                    Harness.equal(inside.incrementAndGet(), 1);
                    rounds.incrementAndGet();
                    inside.decrementAndGet();
                    mutex.release();
                }
            }));
        }
        for (CompletableFuture<Void> worker : workers) {
            worker.get(PATIENCE, TimeUnit.MILLISECONDS);
        }
        Harness.equal(rounds.get(), 40);
        other.close();
    }

    static CompletableFuture<Void> inThread(Harness.Action action) {
        CompletableFuture<Void> result = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                action.run();
                result.complete(null);
            } catch (Throwable error) {
                result.completeExceptionally(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return result;
    }

    @Harness.Check
    public void readWriteLock(String base) throws Exception {
        CuratorFramework other = connect();
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(zk, base);
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(other, base);
        first.readLock().acquire();
        Harness.that(second.readLock().acquire(PATIENCE, TimeUnit.MILLISECONDS), "readers share");
        second.readLock().release();
        Harness.that(!second.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a writer waits");
        first.readLock().release();
        Harness.that(second.writeLock().acquire(PATIENCE, TimeUnit.MILLISECONDS), "then writes");
        second.writeLock().release();
        other.close();
    }

    @Harness.Check
    public void otherLocks(String base) throws Exception {
        InterProcessSemaphoreMutex mutex = new InterProcessSemaphoreMutex(zk, base + "/m");
        Harness.that(mutex.acquire(PATIENCE, TimeUnit.MILLISECONDS), "semaphore mutex");
        InterProcessMultiLock multi = new InterProcessMultiLock(zk, asList(base + "/x", base + "/y"));
        Harness.that(multi.acquire(PATIENCE, TimeUnit.MILLISECONDS), "multi lock");
        multi.release();
        mutex.release();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(zk, base + "/s", 2);
        Lease one = semaphore.acquire();
        Lease two = semaphore.acquire();
        Harness.equal(semaphore.acquire(200, TimeUnit.MILLISECONDS), null);
        semaphore.returnLease(one);
        Lease three = semaphore.acquire(PATIENCE, TimeUnit.MILLISECONDS);
        Harness.that(three != null, "a returned lease can be had");
        semaphore.returnAll(asList(two, three));
    }

    @Harness.Check
    public void leaderLatch(String base) throws Exception {
        CuratorFramework other = connect();
        LeaderLatch first = new LeaderLatch(zk, base, "first");
        first.start();
        Harness.that(first.await(PATIENCE, TimeUnit.MILLISECONDS), "the first leads");
        LeaderLatch second = new LeaderLatch(other, base, "second");
        second.start();
        Harness.eventually(() -> first.getParticipants().size() == 2, "two take part");
        Harness.equal(second.getLeader().getId(), "first");
        Harness.that(!second.hasLeadership(), "the second does not lead");
        first.close();
        Harness.that(second.await(PATIENCE, TimeUnit.MILLISECONDS), "then the second leads");
        second.close();
        other.close();
    }

    @Harness.Check
    public void leaderSelector(String base) throws Exception {
        BlockingQueue<String> order = new LinkedBlockingQueue<>();
        CountDownLatch finish = new CountDownLatch(1);
        List<LeaderSelector> selectors = new ArrayList<>();
        for (String name : asList("one", "two")) {
            LeaderSelector selector = new LeaderSelector(zk, base, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) throws Exception {
                    order.add(name);
                    finish.await(PATIENCE, TimeUnit.MILLISECONDS);
                }
            });
            selector.setId(name);
            selector.start();
            selectors.add(selector);
            Harness.eventually(() -> selector.getParticipants().size() == selectors.size(), name + " takes part");
        }
        Harness.equal(next(order), "one");
        Harness.equal(selectors.get(1).getLeader().getId(), "one");
        finish.countDown();
        Harness.equal(next(order), "two");
        selectors.forEach(LeaderSelector::close);
    }

    @Harness.Check
    public void counters(String base) throws Exception {
        CuratorFramework other = connect();
        SharedCount here = new SharedCount(zk, base + "/count", 5);
        SharedCount there = new SharedCount(other, base + "/count", 7);
        here.start();
        there.start();
        Harness.equal(there.getCount(), 5);
        here.setCount(6);
        Harness.eventually(() -> there.getCount() == 6, "the other sees the new count");
        Harness.that(there.trySetCount(there.getVersionedValue(), 8), "a versioned change");
        DistributedAtomicLong number = new DistributedAtomicLong(other, base + "/long", new RetryNTimes(9, 10));
        Harness.that(number.increment().succeeded() && number.add(4L).succeeded(), "two additions");
        Harness.equal(number.get().postValue(), 5L);
        SharedValue value = new SharedValue(zk, base + "/value", bytes("seed"));
        value.start();
        value.setValue(bytes("grown"));
        Harness.equalBytes(zk.getData().forPath(base + "/value"), bytes("grown"));
        here.close();
        there.close();
        value.close();
        other.close();
    }

    @Harness.Check
    public void barriers(String base) throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(zk, base + "/b");
        barrier.setBarrier();
        Harness.that(!barrier.waitOnBarrier(100, TimeUnit.MILLISECONDS), "closed");
        barrier.removeBarrier();
        Harness.that(barrier.waitOnBarrier(PATIENCE, TimeUnit.MILLISECONDS), "open");
        List<CompletableFuture<Void>> pair = new ArrayList<>();
        for (int n = 0; n < 2; n++) {
            pair.add(inThread(() -> {
                DistributedDoubleBarrier both = new DistributedDoubleBarrier(zk, base + "/d", 2);
                Harness.that(both.enter(PATIENCE, TimeUnit.MILLISECONDS), "entered");
                Harness.that(both.leave(PATIENCE, TimeUnit.MILLISECONDS), "left");
            }));
        }
        for (CompletableFuture<Void> one : pair) {
            one.get(PATIENCE, TimeUnit.MILLISECONDS);
        }
    }

    @Harness.Check
    public void queue(String base) throws Exception {
        SimpleDistributedQueue queue = new SimpleDistributedQueue(zk, base);
        queue.offer(bytes("a"));
        queue.offer(bytes("b"));
        Harness.equalBytes(queue.peek(), bytes("a"));
        Harness.equalBytes(queue.take(), bytes("a"));
        Harness.equalBytes(queue.poll(PATIENCE, TimeUnit.MILLISECONDS), bytes("b"));
        Harness.equal(queue.poll(), null);
    }

    @Harness.Check
    public void olderCaches(String base) throws Exception {
        make(base + "/a");
        NodeCache node = new NodeCache(zk, base + "/a");
        PathChildrenCache children = new PathChildrenCache(zk, base, true);
        TreeCache tree = new TreeCache(zk, base);
        node.start(true);
        children.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        tree.start();
        Harness.equal(children.getCurrentData().size(), 1);
        zk.setData().forPath(base + "/a", bytes("new"));
        make(base + "/b/deep");
        Harness.eventually(() -> "new".equals(new String(node.getCurrentData().getData(), UTF_8)), "node cache");
        Harness.eventually(() -> children.getCurrentData().size() == 2, "children cache");
        Harness.eventually(() -> tree.getCurrentData(base + "/b/deep") != null, "tree cache");
        node.close();
        children.close();
        tree.close();
    }

    @Harness.Check
    public void groupMembers(String base) throws Exception {
        CuratorFramework other = connect();
        GroupMember here = new GroupMember(zk, base, "here");
        GroupMember there = new GroupMember(other, base, "there");
        here.start();
        there.start();
        Harness.eventually(() -> here.getCurrentMembers().size() == 2, "both are members");
        other.close();
        Harness.eventually(() -> here.getCurrentMembers().size() == 1, "one has gone");
        here.close();
    }

    @Harness.Check
    public void recipesSurviveARestart(String base) throws Exception {
        CuratorFramework owner = connect();
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        owner.getConnectionStateListenable().addListener((client, state) -> states.add(state));
        PersistentNode node = new PersistentNode(owner, CreateMode.EPHEMERAL, false, base + "/node", bytes("n"));
        node.start();
        Harness.that(node.waitForInitialCreate(PATIENCE, TimeUnit.MILLISECONDS), "the node is created");
        long session = owner.getZookeeperClient().getZooKeeper().getSessionId();
        InterProcessMutex held = new InterProcessMutex(owner, base + "/lock");
        held.acquire();
        SharedCount count = new SharedCount(owner, base + "/count", 1);
        count.start();
        states.clear();
        Harness.restartServer();
        Harness.equal(next(states), ConnectionState.SUSPENDED);
        Harness.equal(next(states), ConnectionState.RECONNECTED);
        Harness.equal(owner.getZookeeperClient().getZooKeeper().getSessionId(), session);
        Harness.equal(zk.checkExists().forPath(base + "/node").getEphemeralOwner(), session);
        InterProcessMutex wanted = new InterProcessMutex(zk, base + "/lock");
        Harness.that(!wanted.acquire(200, TimeUnit.MILLISECONDS), "the lock is still held");
        held.release();
        Harness.that(wanted.acquire(PATIENCE, TimeUnit.MILLISECONDS), "and can be had when released");
        wanted.release();
        SharedCount elsewhere = new SharedCount(zk, base + "/count", 0);
        elsewhere.start();
        elsewhere.setCount(9);
        Harness.eventually(() -> count.getCount() == 9, "the watch of the count works again");
        owner.close();
        Harness.eventually(() -> zk.checkExists().forPath(base + "/node") == null, "the ephemeral goes");
    }
}

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Arrays.asList;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.BadVersionException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.KeeperException.NoAuthException;
import org.apache.zookeeper.KeeperException.NoNodeException;
import org.apache.zookeeper.KeeperException.NoWatcherException;
import org.apache.zookeeper.KeeperException.NodeExistsException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** Checks of a server through the Java client of Apache ZooKeeper. */
public final class Java {
    private final String address;
    private final ZooKeeper zk;

    private Java(String address) throws Exception {
        this.address = address;
        this.zk = connect("");
        make("/Java");
    }

    public static void main(String[] arguments) throws Exception {
        Harness.runAll(new Java(arguments[0]));
    }

    /** A watcher that remembers what it is told, session events apart. */
    private static final class Seen implements Watcher {
        final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
        final BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() == EventType.None) {
                states.add(event.getState());
            } else {
                events.add(event);
            }
        }

        String next() throws Exception {
            WatchedEvent event = events.poll(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Harness.that(event != null, "no event came");
            return event.getType() + " " + event.getPath();
        }

        KeeperState nextState() throws Exception {
            KeeperState state = states.poll(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Harness.that(state != null, "no session event came");
            return state;
        }
    }

    private ZooKeeper connect(String chroot) throws Exception {
        return connect(chroot, new Seen());
    }

    private ZooKeeper connect(String chroot, Seen seen) throws Exception {
        ZooKeeper client = new ZooKeeper(address + chroot, 10_000, seen);
        Harness.equal(seen.nextState(), KeeperState.SyncConnected);
        return client;
    }

    private String make(String path) throws Exception {
        return zk.create(path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    private static List<ACL> digestAcl(String user) throws Exception {
        return Collections.singletonList(
                new ACL(Perms.ALL, new Id("digest", DigestAuthenticationProvider.generateDigest(user))));
    }

    @Harness.Check
    public void createGetSetDelete(String base) throws Exception {
        make(base);
        Stat made = new Stat();
        String path = zk.create(base + "/a", bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made);
        Harness.equal(path, base + "/a");
        Stat read = new Stat();
        Harness.equalBytes(zk.getData(path, false, read), bytes("one"));
        Harness.equal(read, made);
        Harness.equal(read.getDataLength(), 3);
        Harness.equal(zk.exists(path, false), made);
        Stat changed = zk.setData(path, bytes("other"), 0);
        Harness.equal(changed.getVersion(), 1);
        Harness.that(changed.getMzxid() > changed.getCzxid(), "mzxid follows czxid");
        zk.delete(path, 1);
        Harness.equal(zk.exists(path, false), null);
    }

    @Harness.Check
    public void createInEveryMode(String base) throws Exception {
        make(base);
        for (CreateMode mode : CreateMode.values()) {
            Stat stat = new Stat();
            long ttl = mode.isTTL() ? 3_600_000 : -1;
            String path = zk.create(base + "/" + mode, null, Ids.OPEN_ACL_UNSAFE, mode, stat, ttl);
            Harness.equal(path.length() - (base + "/" + mode).length(), mode.isSequential() ? 10 : 0);
            Harness.equal(stat.getEphemeralOwner(), mode.isEphemeral() ? zk.getSessionId() : 0L);
            Harness.equal(zk.exists(path, false), stat);
            Harness.equal(zk.getData(path, false, null), null);
        }
    }

    @Harness.Check
    public void containerGoesWhenEmptied(String base) throws Exception {
        zk.create(base, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
        make(base + "/child");
        zk.delete(base + "/child", -1);
        Harness.eventually(() -> zk.exists(base, false) == null, "the empty container is removed");
    }

    @Harness.Check
    public void ttlNodeGoesInTime(String base) throws Exception {
        zk.create(base, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 200);
        Harness.eventually(() -> zk.exists(base, false) == null, "the old TTL node is removed");
    }

    @Harness.Check
    public void sequences(String base) throws Exception {
        make(base);
        List<String> made = new ArrayList<>();
        for (int n = 0; n < 3; n++) {
            made.add(zk.create(base + "/n-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        }
        Harness.equal(made, asList(base + "/n-0000000000", base + "/n-0000000001", base + "/n-0000000002"));
    }

    @Harness.Check
    public void children(String base) throws Exception {
        make(base);
        for (String name : asList("c", "a", "b")) {
            make(base + "/" + name);
        }
        Harness.equal(Harness.sorted(zk.getChildren(base, false)), asList("a", "b", "c"));
        Stat stat = new Stat();
        Harness.equal(Harness.sorted(zk.getChildren(base, false, stat)), asList("a", "b", "c"));
        Harness.equal(asList(stat.getNumChildren(), stat.getCversion()), asList(3, 3));
        make(base + "/a/deep");
        Harness.equal(zk.getAllChildrenNumber(base), 4);
        Harness.equal(ZKUtil.listSubTreeBFS(zk, base).size(), 5);
    }

    @Harness.Check
    public void ephemeralsOfASession(String base) throws Exception {
        ZooKeeper owner = connect("");
        make(base);
        for (String name : asList("/x1", "/x2", "/y")) {
            owner.create(base + name, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        }
        Harness.equal(owner.getEphemerals().size(), 3);
        Harness.equal(Harness.sorted(owner.getEphemerals(base + "/x")), asList(base + "/x1", base + "/x2"));
        Seen seen = new Seen();
        zk.exists(base + "/y", seen);
        owner.close();
        Harness.equal(seen.next(), "NodeDeleted " + base + "/y");
        Harness.equal(zk.getChildren(base, false), Collections.emptyList());
    }

    @Harness.Check
    public void refusals(String base) throws Exception {
        make(base);
        make(base + "/a");
        Harness.refused(NodeExistsException.class, () -> make(base + "/a"));
        Harness.refused(NoNodeException.class, () -> make(base + "/none/below"));
        Harness.refused(NoNodeException.class, () -> zk.getData(base + "/none", false, null));
        Harness.refused(NoNodeException.class, () -> zk.getChildren(base + "/none", false));
        Harness.refused(NoNodeException.class, () -> zk.getAllChildrenNumber(base + "/none"));
        Harness.refused(BadVersionException.class, () -> zk.setData(base + "/a", null, 5));
        Harness.refused(BadVersionException.class, () -> zk.delete(base + "/a", 5));
        Harness.refused(KeeperException.NotEmptyException.class, () -> zk.delete(base, -1));
        zk.create(base + "/e", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Harness.refused(KeeperException.NoChildrenForEphemeralsException.class, () -> make(base + "/e/child"));
        Harness.refused(KeeperException.BadArgumentsException.class, () -> zk.delete("/zookeeper", -1));
        Harness.refused(KeeperException.InvalidACLException.class,
                () -> zk.create(base + "/c", null, digestOf("no-colon"), CreateMode.PERSISTENT));
        zk.delete(base + "/e", -1);
    }

    private static List<ACL> digestOf(String id) {
        return Collections.singletonList(new ACL(Perms.ALL, new Id("digest", id)));
    }

    @Harness.Check
    public void asynchronousCalls(String base) throws Exception {
        make(base);
        List<CompletableFuture<String>> made = new ArrayList<>();
        for (int n = 0; n < 200; n++) {
            CompletableFuture<String> one = new CompletableFuture<>();
            zk.create(base + "/" + n, bytes("" + n), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                    (rc, path, context, name, stat) -> one.complete(Code.get(rc) + " " + name), null);
            made.add(one);
        }
        for (int n = 0; n < 200; n++) {
            Harness.equal(made.get(n).get(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS), "OK " + base + "/" + n);
        }
        CompletableFuture<Integer> synced = new CompletableFuture<>();
        zk.sync(base, (rc, path, context) -> synced.complete(rc), null);
        Harness.equal(synced.get(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS), 0);
        zk.sync(base);
        CompletableFuture<Integer> missing = new CompletableFuture<>();
        zk.getData(base + "/none", false, (rc, path, context, data, stat) -> missing.complete(rc), null);
        Harness.equal(missing.get(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS), Code.NONODE.intValue());
    }

    @Harness.Check
    public void multiSucceeds(String base) throws Exception {
        make(base);
        List<OpResult> results = zk.multi(asList(
                Op.create(base + "/a", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.check(base + "/a", 0),
                Op.setData(base + "/a", bytes("2"), 0),
                Op.create(base + "/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.create(base + "/c", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                Op.create(base + "/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 60_000),
                Op.delete(base + "/a", 1)));
        Harness.equal(((OpResult.CreateResult) results.get(0)).getPath(), base + "/a");
        Harness.equal(((OpResult.SetDataResult) results.get(2)).getStat().getVersion(), 1);
        Harness.equal(((OpResult.CreateResult) results.get(3)).getPath(), base + "/s-0000000001");
        Harness.equal(Harness.sorted(zk.getChildren(base, false)), asList("c", "s-0000000001", "t"));
    }

    @Harness.Check
    public void multiFailsWhole(String base) throws Exception {
        make(base);
        KeeperException error = Harness.refused(NoNodeException.class, () -> zk.multi(asList(
                Op.create(base + "/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.delete(base + "/none", -1),
                Op.setData(base, null, -1))));
        List<Integer> codes = error.getResults().stream()
                .map(result -> ((OpResult.ErrorResult) result).getErr()).collect(Collectors.toList());
        Harness.equal(codes, asList(0, -101, -2));
        Harness.equal(zk.getChildren(base, false), Collections.emptyList());
    }

    @Harness.Check
    public void multiRead(String base) throws Exception {
        make(base);
        zk.create(base + "/a", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        List<OpResult> results =
                zk.multi(asList(Op.getData(base + "/a"), Op.getChildren(base), Op.getData(base + "/none")));
        Harness.equalBytes(((OpResult.GetDataResult) results.get(0)).getData(), bytes("1"));
        Harness.equal(((OpResult.GetChildrenResult) results.get(1)).getChildren(), asList("a"));
        Harness.equal(((OpResult.ErrorResult) results.get(2)).getErr(), Code.NONODE.intValue());
    }

    @Harness.Check
    public void transactionBuilder(String base) throws Exception {
        List<OpResult> results = zk.transaction()
                .create(base, bytes("t"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)
                .check(base, 0).setData(base, bytes("u"), 0).commit();
        Harness.equal(results.size(), 3);
        Harness.equalBytes(zk.getData(base, false, null), bytes("u"));
    }

    @Harness.Check
    public void aclsAreReadAndSet(String base) throws Exception {
        zk.create(base, null, Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat stat = new Stat();
        Harness.equal(zk.getACL(base, stat), Ids.READ_ACL_UNSAFE);
        Harness.refused(NoAuthException.class, () -> zk.setData(base, null, -1));
        Harness.refused(NoAuthException.class, () -> zk.setACL(base, Ids.OPEN_ACL_UNSAFE, -1));
        String open = make(base + "-open");
        List<ACL> byAddress = asList(new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8")));
        Harness.equal(zk.setACL(open, byAddress, 0).getAversion(), 1);
        Harness.equal(zk.getACL(open, null), byAddress);
        Harness.refused(BadVersionException.class, () -> zk.setACL(open, Ids.OPEN_ACL_UNSAFE, 0));
    }

    @Harness.Check
    public void digestKeepsOthersOut(String base) throws Exception {
        ZooKeeper owner = connect("");
        ZooKeeper other = connect("");
        owner.addAuthInfo("digest", bytes("ann:secret"));
        owner.create(base, bytes("p"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        Harness.equal(owner.getACL(base, null), digestAcl("ann:secret"));
        Harness.refused(NoAuthException.class, () -> other.getData(base, false, null));
        Harness.refused(NoAuthException.class, () -> other.exists(base, false));
        Harness.refused(NoAuthException.class, () -> other.getACL(base, null));
        other.addAuthInfo("digest", bytes("ann:wrong"));
        Harness.refused(NoAuthException.class, () -> other.setData(base, null, -1));
        other.addAuthInfo("digest", bytes("ann:secret"));
        Harness.equalBytes(other.getData(base, false, null), bytes("p"));
        owner.close();
        other.close();
    }

    @Harness.Check
    public void unknownSchemeFails(String base) throws Exception {
        Seen seen = new Seen();
        ZooKeeper client = connect("", seen);
        client.addAuthInfo("nonsense", bytes("x"));
        Harness.equal(seen.nextState(), KeeperState.AuthFailed);
        Harness.refused(KeeperException.AuthFailedException.class, () -> client.exists("/", false));
        client.close();
    }

    @Harness.Check
    public void whoAmI(String base) throws Exception {
        ZooKeeper client = connect("");
        client.addAuthInfo("digest", bytes("ann:secret"));
        client.addAuthInfo("digest", bytes("super:secret"));
        List<String> ids = new ArrayList<>();
        for (ClientInfo info : client.whoAmI()) {
            ids.add(info.getAuthScheme() + ":" + info.getUser());
        }
        Harness.equal(Harness.sorted(ids), asList("digest:ann", "digest:super", "ip:127.0.0.1", "super:"));
        client.close();
    }

    @Harness.Check
    public void superUserPasses(String base) throws Exception {
        zk.create(base, bytes("s"), digestAcl("nobody:nothing"), CreateMode.PERSISTENT);
        ZooKeeper boss = connect("");
        boss.addAuthInfo("digest", bytes("super:secret"));
        Harness.equalBytes(boss.getData(base, false, null), bytes("s"));
        boss.close();
    }

    @Harness.Check
    public void oneShotWatches(String base) throws Exception {
        make(base);
        String node = base + "/a";
        ZooKeeper other = connect("");
        Seen seen = new Seen();
        zk.exists(node, seen);
        zk.getChildren(base, seen);
        other.create(node, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Harness.equal(Harness.sorted(asList(seen.next(), seen.next())),
                asList("NodeChildrenChanged " + base, "NodeCreated " + node));
        zk.getData(node, seen, null);
        other.setData(node, bytes("2"), -1);
        other.setData(node, bytes("3"), -1);
        Harness.equal(seen.next(), "NodeDataChanged " + node);
        zk.getChildren(node, seen);
        other.delete(node, -1);
        Harness.equal(seen.next(), "NodeDeleted " + node);
        zk.sync(base);
        Harness.that(seen.events.isEmpty(), "no watch fires twice");
        other.close();
    }

    @Harness.Check
    public void persistentWatch(String base) throws Exception {
        make(base);
        Seen seen = new Seen();
        zk.addWatch(base, seen, AddWatchMode.PERSISTENT);
        zk.setData(base, bytes("1"), -1);
        zk.setData(base, bytes("2"), -1);
        make(base + "/child");
        make(base + "/child/grandchild");
        zk.setData(base + "/child", bytes("1"), -1);
        Harness.equal(asList(seen.next(), seen.next(), seen.next()),
                asList("NodeDataChanged " + base, "NodeDataChanged " + base, "NodeChildrenChanged " + base));
        zk.sync(base);
        Harness.that(seen.events.isEmpty(), "the watch is not recursive");
    }

    @Harness.Check
    public void recursiveWatch(String base) throws Exception {
        make(base);
        Seen seen = new Seen();
        zk.addWatch(base, seen, AddWatchMode.PERSISTENT_RECURSIVE);
        make(base + "/a");
        make(base + "/a/b");
        zk.setData(base + "/a/b", bytes("1"), -1);
        zk.delete(base + "/a/b", -1);
        Harness.equal(asList(seen.next(), seen.next(), seen.next(), seen.next()),
                asList("NodeCreated " + base + "/a", "NodeCreated " + base + "/a/b",
                        "NodeDataChanged " + base + "/a/b", "NodeDeleted " + base + "/a/b"));
    }

    @Harness.Check
    public void watchesAreRemoved(String base) throws Exception {
        make(base);
        Seen seen = new Seen();
        zk.getData(base, seen, null);
        zk.getChildren(base, seen);
        zk.removeWatches(base, seen, WatcherType.Data, false);
        Harness.equal(seen.next(), "DataWatchRemoved " + base);
        zk.setData(base, bytes("1"), -1);
        zk.removeAllWatches(base, WatcherType.Any, false);
        Harness.equal(seen.next(), "ChildWatchRemoved " + base);
        zk.addWatch(base, seen, AddWatchMode.PERSISTENT);
        zk.removeWatches(base, seen, WatcherType.Persistent, false);
        Harness.equal(seen.next(), "PersistentWatchRemoved " + base);
        zk.addWatch(base, seen, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.removeWatches(base, seen, WatcherType.PersistentRecursive, false);
        Harness.equal(seen.next(), "PersistentWatchRemoved " + base);
        zk.setData(base, bytes("2"), -1);
        Harness.refused(NoWatcherException.class, () -> zk.removeWatches(base, seen, WatcherType.Any, false));
        zk.sync(base);
        Harness.that(seen.events.isEmpty(), "removed watches are silent");
    }

    @Harness.Check
    public void configurationNode(String base) throws Exception {
        try (ZooKeeperAdmin admin = new ZooKeeperAdmin(address, 10_000, new Seen())) {
            Harness.that(admin.getConfig(false, new Stat()) != null, "the configuration node can be read");
            admin.addAuthInfo("digest", bytes("super:secret"));
            Harness.refused(KeeperException.ReconfigDisabledException.class,
                    () -> admin.reconfigure("server.2=h:1:2;3", null, null, -1, new Stat()));
        }
    }

    @Harness.Check
    public void chrootIsTheClientsAffair(String base) throws Exception {
        make(base);
        ZooKeeper inside = connect(base);
        Seen seen = new Seen();
        inside.exists("/a", seen);
        Harness.equal(inside.create("/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), "/a");
        Harness.equal(seen.next(), "NodeCreated /a");
        Harness.that(zk.exists(base + "/a", false) != null, "seen from outside");
        inside.close();
    }

    @Harness.Check
    public void sessionMovesWithItsPassword(String base) throws Exception {
        try (Proxy proxy = new Proxy(Integer.parseInt(address.split(":")[1]))) {
            Seen seen = new Seen();
            ZooKeeper first = new ZooKeeper("127.0.0.1:" + proxy.port(), 10_000, seen);
            Harness.equal(seen.nextState(), KeeperState.SyncConnected);
            first.create(base, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            long id = first.getSessionId();
            byte[] password = first.getSessionPasswd();
            // The first client must not take its session back while the second has it.
            proxy.cut();
            ZooKeeper forger = attach(id, new byte[16], KeeperState.Expired);
            ZooKeeper second = attach(id, password, KeeperState.SyncConnected);
            Harness.equal(second.exists(base, false).getEphemeralOwner(), id);
            second.close();
            Harness.equal(zk.exists(base, false), null);
            attach(id, password, KeeperState.Expired).close();
            forger.close();
            proxy.mend();
            first.close();
        }
    }

    private ZooKeeper attach(long id, byte[] password, KeeperState expected) throws Exception {
        Seen seen = new Seen();
        ZooKeeper client = new ZooKeeper(address, 10_000, seen, id, password);
        Harness.equal(seen.nextState(), expected);
        return client;
    }

    @Harness.Check
    public void sessionSurvivesARestart(String base) throws Exception {
        make(base);
        Seen session = new Seen();
        Seen watches = new Seen();
        ZooKeeper owner = connect("", session);
        owner.addAuthInfo("digest", bytes("ann:secret"));
        owner.create(base + "/e", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        owner.create(base + "/private", bytes("p"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        long id = owner.getSessionId();
        owner.getData(base + "/e", watches, null);
        owner.exists(base + "/later", watches);
        owner.getChildren(base, watches);
        owner.addWatch(base + "/private", watches, AddWatchMode.PERSISTENT);
        Harness.restartServer();
        Harness.equal(session.nextState(), KeeperState.Disconnected);
        Harness.equal(session.nextState(), KeeperState.SyncConnected);
        Harness.equal(owner.getSessionId(), id);
        Harness.equalBytes(owner.getData(base + "/private", false, null), bytes("p"));
        Harness.equal(owner.exists(base + "/e", false).getEphemeralOwner(), id);
        Harness.that(watches.events.isEmpty(), "nothing fired by the restart");
        Map<String, Long> seen = changesSeen(owner, base, watches);
        Harness.equal(seen.keySet(), new java.util.TreeSet<>(asList("NodeChildrenChanged " + base,
                "NodeCreated " + base + "/later", "NodeDataChanged " + base + "/e",
                "NodeDataChanged " + base + "/private")));
        owner.close();
        Harness.eventually(() -> connected(() -> zk.exists(base + "/e", false) == null), "the ephemeral goes");
    }

    private static Map<String, Long> changesSeen(ZooKeeper owner, String base, Seen watches) throws Exception {
        owner.setData(base + "/e", bytes("2"), -1);
        owner.setData(base + "/private", bytes("2"), -1);
        owner.create(base + "/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        List<String> events = asList(watches.next(), watches.next(), watches.next(), watches.next());
        return events.stream().collect(
                Collectors.groupingBy(Function.identity(), java.util.TreeMap::new, Collectors.counting()));
    }

    private static boolean connected(java.util.concurrent.Callable<Boolean> call) throws Exception {
        try {
            return call.call();
        } catch (KeeperException.ConnectionLossException again) {
            return false;
        }
    }

    @Harness.Check
    public void changesMissedWhileAwayAreTold(String base) throws Exception {
        make(base);
        make(base + "/doomed");
        Seen session = new Seen();
        Seen seen = new Seen();
        try (Proxy proxy = new Proxy(Integer.parseInt(address.split(":")[1]))) {
            ZooKeeper away = new ZooKeeper("127.0.0.1:" + proxy.port(), 10_000, session);
            Harness.equal(session.nextState(), KeeperState.SyncConnected);
            away.getData(base, seen, null);
            away.getData(base + "/doomed", seen, null);
            away.exists(base + "/new", seen);
            proxy.cut();
            Harness.equal(session.nextState(), KeeperState.Disconnected);
            zk.setData(base, bytes("changed"), -1);
            zk.delete(base + "/doomed", -1);
            make(base + "/new");
            proxy.mend();
            Harness.equal(session.nextState(), KeeperState.SyncConnected);
            Harness.equal(Harness.sorted(asList(seen.next(), seen.next(), seen.next())),
                    asList("NodeCreated " + base + "/new", "NodeDataChanged " + base, "NodeDeleted " + base + "/doomed"));
            away.close();
        }
    }
}

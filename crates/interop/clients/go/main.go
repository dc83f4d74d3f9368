// Checks of a ZooKeeper server through github.com/go-zookeeper/zk.
//
// usage: checks HOST:PORT
// Prints `ok NAME` or `FAIL NAME reason` per check; `@restart` asks for a restart of the server, which has
// happened when a line arrives on stdin.
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const patience = 20 * time.Second

var (
	address string
	stdin   = bufio.NewReader(os.Stdin)
	open    = zk.WorldACL(zk.PermAll)
)

type silent struct{}

func (silent) Printf(string, ...interface{}) {}

type check struct {
	name string
	run  func(c *zk.Conn, base string)
}

func fail(format string, arguments ...interface{}) {
	panic(fmt.Sprintf(format, arguments...))
}

func equal(got, expected interface{}) {
	if !reflect.DeepEqual(got, expected) {
		fail("got %v, expected %v", got, expected)
	}
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func refused(err, expected error) {
	if err != expected {
		fail("got error %v, expected %v", err, expected)
	}
}

func eventually(what string, condition func() bool) {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			fail("not within %v: %s", patience, what)
		}
	}
}

func connect() *zk.Conn {
	c, _ := connectWithEvents()
	return c
}

func connectWithEvents() (*zk.Conn, <-chan zk.Event) {
	c, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(silent{}))
	must(err)
	awaitState(events, zk.StateHasSession)
	return c, events
}

func awaitState(events <-chan zk.Event, state zk.State) {
	limit := time.After(patience)
	for {
		select {
		case event := <-events:
			if event.State == state {
				return
			}
		case <-limit:
			fail("the session never got to state %v", state)
		}
	}
}

func next(events <-chan zk.Event) string {
	select {
	case event := <-events:
		return fmt.Sprintf("%v %s", event.Type, event.Path)
	case <-time.After(patience):
		fail("no event came")
		return ""
	}
}

func restartServer() {
	fmt.Println("@restart")
	line, err := stdin.ReadString('\n')
	must(err)
	equal(line, "done\n")
}

func create(c *zk.Conn, path string, data string, flags int32) string {
	made, err := c.Create(path, []byte(data), flags, open)
	must(err)
	return made
}

func createGetSetDelete(c *zk.Conn, base string) {
	equal(create(c, base+"/a", "one", 0), base+"/a")
	data, stat, err := c.Get(base + "/a")
	must(err)
	equal([]interface{}{string(data), stat.Version, stat.DataLength}, []interface{}{"one", int32(0), int32(3)})
	stat, err = c.Set(base+"/a", []byte("two"), 0)
	must(err)
	equal(stat.Version, int32(1))
	there, read, err := c.Exists(base + "/a")
	must(err)
	equal(there, true)
	equal(read, stat)
	must(c.Delete(base+"/a", 1))
	there, _, err = c.Exists(base + "/a")
	must(err)
	equal(there, false)
}

func createInEveryMode(c *zk.Conn, base string) {
	equal(create(c, base+"/s-", "", zk.FlagSequence), base+"/s-0000000000")
	equal(create(c, base+"/es-", "", zk.FlagEphemeralSequential), base+"/es-0000000001")
	create(c, base+"/e", "", zk.FlagEphemeral)
	_, stat, err := c.Exists(base + "/e")
	must(err)
	equal(stat.EphemeralOwner, c.SessionID())
	path, err := c.CreateTTL(base+"/ts-", nil, zk.FlagPersistentSequentialWithTTL, open, time.Hour)
	must(err)
	equal(path, base+"/ts-0000000003")
	_, err = c.CreateTTL(base+"/t", nil, zk.FlagTTL, open, 200*time.Millisecond)
	must(err)
	_, err = c.CreateContainer(base+"/c", nil, zk.FlagContainer, open)
	must(err)
	create(c, base+"/c/child", "", 0)
	must(c.Delete(base+"/c/child", -1))
	for _, path := range []string{base + "/t", base + "/c"} {
		eventually(path+" is removed", func() bool {
			there, _, err := c.Exists(path)
			must(err)
			return !there
		})
	}
	path, err = c.CreateProtectedEphemeralSequential(base+"/p-", nil, open)
	must(err)
	equal(strings.HasPrefix(path, base+"/_c_"), true)
}

func children(c *zk.Conn, base string) {
	for _, name := range []string{"c", "a", "b"} {
		create(c, base+"/"+name, "", 0)
	}
	names, stat, err := c.Children(base)
	must(err)
	sort.Strings(names)
	equal(names, []string{"a", "b", "c"})
	equal(stat.NumChildren, int32(3))
}

func refusals(c *zk.Conn, base string) {
	create(c, base+"/a", "", 0)
	_, err := c.Create(base+"/a", nil, 0, open)
	refused(err, zk.ErrNodeExists)
	_, _, err = c.Get(base + "/none")
	refused(err, zk.ErrNoNode)
	_, err = c.Set(base+"/a", nil, 7)
	refused(err, zk.ErrBadVersion)
	refused(c.Delete(base, -1), zk.ErrNotEmpty)
	_, err = c.Create(base+"/x", nil, 0, []zk.ACL{})
	refused(err, zk.ErrInvalidACL)
	create(c, base+"/e", "", zk.FlagEphemeral)
	_, err = c.Create(base+"/e/child", nil, 0, open)
	refused(err, zk.ErrNoChildrenForEphemerals)
}

func syncs(c *zk.Conn, base string) {
	path, err := c.Sync(base)
	must(err)
	equal(path, base)
}

func multiSucceeds(c *zk.Conn, base string) {
	results, err := c.Multi(
		&zk.CreateRequest{Path: base + "/a", Data: []byte("1"), Acl: open},
		&zk.CheckVersionRequest{Path: base + "/a", Version: 0},
		&zk.SetDataRequest{Path: base + "/a", Data: []byte("2"), Version: 0},
		&zk.CreateRequest{Path: base + "/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.DeleteRequest{Path: base + "/a", Version: 1})
	must(err)
	equal(results[0].String, base+"/a")
	equal(results[2].Stat.Version, int32(1))
	equal(results[3].String, base+"/s-0000000001")
}

func multiFailsWhole(c *zk.Conn, base string) {
	_, err := c.Multi(
		&zk.CreateRequest{Path: base + "/a", Acl: open},
		&zk.DeleteRequest{Path: base + "/none", Version: -1})
	refused(err, zk.ErrNoNode)
	there, _, err := c.Exists(base + "/a")
	must(err)
	equal(there, false)
}

func aclsAreReadAndSet(c *zk.Conn, base string) {
	create(c, base+"/a", "", 0)
	stat, err := c.SetACL(base+"/a", zk.WorldACL(zk.PermRead|zk.PermAdmin), 0)
	must(err)
	equal(stat.Aversion, int32(1))
	acl, _, err := c.GetACL(base + "/a")
	must(err)
	equal(acl, zk.WorldACL(zk.PermRead|zk.PermAdmin))
	_, err = c.Set(base+"/a", nil, -1)
	refused(err, zk.ErrNoAuth)
	_, err = c.SetACL(base+"/a", open, 0)
	refused(err, zk.ErrBadVersion)
}

func digestKeepsOthersOut(c *zk.Conn, base string) {
	owner, other := connect(), connect()
	defer owner.Close()
	defer other.Close()
	must(owner.AddAuth("digest", []byte("ann:secret")))
	_, err := owner.Create(base+"/private", []byte("p"), 0, zk.AuthACL(zk.PermAll))
	must(err)
	_, _, err = other.Get(base + "/private")
	refused(err, zk.ErrNoAuth)
	acl, _, err := owner.GetACL(base + "/private")
	must(err)
	equal(acl, zk.DigestACL(zk.PermAll, "ann", "secret"))
	must(other.AddAuth("digest", []byte("ann:secret")))
	data, _, err := other.Get(base + "/private")
	must(err)
	equal(string(data), "p")
}

func ephemeralsGoWithTheirSession(c *zk.Conn, base string) {
	owner := connect()
	create(owner, base+"/e", "", zk.FlagEphemeral)
	there, _, events, err := c.ExistsW(base + "/e")
	must(err)
	equal(there, true)
	owner.Close()
	equal(next(events), "EventNodeDeleted "+base+"/e")
}

func oneShotWatches(c *zk.Conn, base string) {
	other := connect()
	defer other.Close()
	_, _, created, err := c.ExistsW(base + "/a")
	must(err)
	_, _, listed, err := c.ChildrenW(base)
	must(err)
	create(other, base+"/a", "", 0)
	equal(next(created), "EventNodeCreated "+base+"/a")
	equal(next(listed), "EventNodeChildrenChanged "+base)
	_, _, changed, err := c.GetW(base + "/a")
	must(err)
	_, err = other.Set(base+"/a", []byte("2"), -1)
	must(err)
	equal(next(changed), "EventNodeDataChanged "+base+"/a")
	_, _, deleted, err := c.ChildrenW(base + "/a")
	must(err)
	must(other.Delete(base+"/a", -1))
	equal(next(deleted), "EventNodeDeleted "+base+"/a")
}

func lock(c *zk.Conn, base string) {
	other := connect()
	defer other.Close()
	first, second := zk.NewLock(c, base+"/lock", open), zk.NewLock(other, base+"/lock", open)
	must(first.Lock())
	taken := make(chan error, 1)
	go func() { taken <- second.Lock() }()
	eventually("the second waits", func() bool {
		names, _, err := c.Children(base + "/lock")
		must(err)
		return len(names) == 2
	})
	equal(len(taken), 0)
	must(first.Unlock())
	select {
	case err := <-taken:
		must(err)
	case <-time.After(patience):
		fail("the second never got the lock")
	}
	must(second.Unlock())
}

func lockUnderContention(c *zk.Conn, base string) {
	var group sync.WaitGroup
	inside, rounds := 0, 0
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			mine := zk.NewLock(c, base+"/lock", open)
			for round := 0; round < 10; round++ {
				if mine.Lock() != nil {
					return
				}
				inside++
				if inside == 1 {
					rounds++
				}
				inside--
				if mine.Unlock() != nil {
					return
				}
			}
		}()
	}
	group.Wait()
	equal(rounds, 40)
}

// FLWSrvr and FLWCons are left out: they cannot read the fractional latency that servers report since 3.6.
func fourLetterWords(c *zk.Conn, base string) {
	equal(zk.FLWRuok([]string{address}, patience), []bool{true})
}

func manyRequestsInFlight(c *zk.Conn, base string) {
	var group sync.WaitGroup
	failures := make(chan error, 200)
	for n := 0; n < 200; n++ {
		group.Add(1)
		go func(path string) {
			defer group.Done()
			if _, err := c.Create(path, []byte(path), 0, open); err != nil {
				failures <- err
			}
		}(fmt.Sprintf("%s/%d", base, n))
	}
	group.Wait()
	equal(len(failures), 0)
	names, _, err := c.Children(base)
	must(err)
	equal(len(names), 200)
}

func sessionSurvivesARestart(c *zk.Conn, base string) {
	owner, events := connectWithEvents()
	create(owner, base+"/e", "1", zk.FlagEphemeral)
	create(owner, base+"/p", "1", 0)
	session := owner.SessionID()
	held := zk.NewLock(owner, base+"/lock", open)
	must(held.Lock())
	_, _, changed, err := owner.GetW(base + "/p")
	must(err)
	_, _, created, err := owner.ExistsW(base + "/later")
	must(err)
	_, _, listed, err := owner.ChildrenW(base)
	must(err)
	restartServer()
	awaitState(events, zk.StateDisconnected)
	awaitState(events, zk.StateHasSession)
	equal(owner.SessionID(), session)
	_, stat, err := owner.Exists(base + "/e")
	must(err)
	equal(stat.EphemeralOwner, session)
	_, err = owner.Set(base+"/p", []byte("2"), -1)
	must(err)
	create(owner, base+"/later", "", 0)
	equal(next(changed), "EventNodeDataChanged "+base+"/p")
	equal(next(created), "EventNodeCreated "+base+"/later")
	equal(next(listed), "EventNodeChildrenChanged "+base)
	must(held.Unlock())
	owner.Close()
	other := connect()
	defer other.Close()
	there, _, err := other.Exists(base + "/e")
	must(err)
	equal(there, false)
}

var checks = []check{
	{"createGetSetDelete", createGetSetDelete},
	{"createInEveryMode", createInEveryMode},
	{"children", children},
	{"refusals", refusals},
	{"sync", syncs},
	{"multiSucceeds", multiSucceeds},
	{"multiFailsWhole", multiFailsWhole},
	{"aclsAreReadAndSet", aclsAreReadAndSet},
	{"digestKeepsOthersOut", digestKeepsOthersOut},
	{"ephemeralsGoWithTheirSession", ephemeralsGoWithTheirSession},
	{"oneShotWatches", oneShotWatches},
	{"lock", lock},
	{"lockUnderContention", lockUnderContention},
	{"fourLetterWords", fourLetterWords},
	{"manyRequestsInFlight", manyRequestsInFlight},
	{"sessionSurvivesARestart", sessionSurvivesARestart},
}

func run(one check) (reason string) {
	defer func() {
		if problem := recover(); problem != nil {
			reason = strings.ReplaceAll(fmt.Sprint(problem), "\n", " ")
		}
	}()
	c := connect()
	defer c.Close()
	base := "/go/" + one.name
	create(c, base, "", 0)
	one.run(c, base)
	return ""
}

func main() {
	address = os.Args[1]
	c := connect()
	create(c, "/go", "", 0)
	c.Close()
	failed := 0
	for _, one := range checks {
		if reason := run(one); reason != "" {
			failed = 1
			fmt.Printf("FAIL %s %s\n", one.name, reason)
		} else {
			fmt.Printf("ok %s\n", one.name)
		}
	}
	os.Exit(failed)
}

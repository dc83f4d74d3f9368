/*
 * Checks of a ZooKeeper server through the C client of Apache ZooKeeper (multi-threaded, blocking calls).
 *
 * usage: checks HOST:PORT
 * Prints `ok NAME` or `FAIL NAME reason` per check; `@restart` asks for a restart of the server, which has
 * happened when a line arrives on stdin.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

enum { PATIENCE_S = 20, EVENTS = 64, TEXT = 512 };

static const char *address;
static char failure[TEXT];

/* What a watcher was told, under one lock for all. */
struct seen {
    int count;
    char lines[EVENTS][TEXT];
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

/* Ends the check with a reason. */
#define CHECK(condition, ...)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            int used = snprintf(failure, TEXT, "line %d: ", __LINE__);                                       \
            snprintf(failure + used, TEXT - used, __VA_ARGS__);                                              \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

#define CODE(call, expected)                                                                                 \
    do {                                                                                                     \
        int code_ = (call);                                                                                  \
        CHECK(code_ == (expected), "%s gave %d, expected %d", #call, code_, (expected));                     \
    } while (0)

static struct timespec deadline(void) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    return limit;
}

static void note(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh;
    struct seen *seen = context;
    if (seen == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (type != ZOO_SESSION_EVENT && seen->count < EVENTS) {
        snprintf(seen->lines[seen->count++], TEXT, "%d %s", type, path);
    }
    (void)state;
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

static void session(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)type, (void)state, (void)path, (void)context;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

/* Waits until a watcher was told `type path`. */
static int was_told(struct seen *seen, int type, const char *path) {
    char wanted[TEXT];
    snprintf(wanted, TEXT, "%d %s", type, path);
    struct timespec limit = deadline();
    int found = 0, late = 0;
    pthread_mutex_lock(&lock);
    while (!found && !late) {
        for (int n = 0; n < seen->count; n++) {
            found |= strcmp(seen->lines[n], wanted) == 0;
        }
        if (!found) {
            late = pthread_cond_timedwait(&told, &lock, &limit) != 0;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Whether a watcher has been told of this type of event. */
static int was_told_now(struct seen *seen, int type) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (int n = 0; n < seen->count; n++) {
        found |= atoi(seen->lines[n]) == type;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static int in_state(zhandle_t *zh, int state) {
    struct timespec limit = deadline();
    pthread_mutex_lock(&lock);
    int late = 0;
    while (zoo_state(zh) != state && !late) {
        late = pthread_cond_timedwait(&told, &lock, &limit) != 0;
    }
    pthread_mutex_unlock(&lock);
    return !late;
}

static zhandle_t *connect_client(void) {
    zhandle_t *zh = zookeeper_init(address, session, 10000, NULL, NULL, 0);
    return zh != NULL && in_state(zh, ZOO_CONNECTED_STATE) ? zh : NULL;
}

static const char *below(const char *base, const char *name) {
    static char paths[8][TEXT];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, TEXT, "%s/%s", base, name);
    return path;
}

static int make(zhandle_t *zh, const char *path, const char *data, int mode) {
    return zoo_create(zh, path, data, (int)strlen(data), &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0);
}

static int vanishes(zhandle_t *zh, const char *path) {
    for (int waited_ms = 0; waited_ms < PATIENCE_S * 1000; waited_ms += 20) {
        if (zoo_exists(zh, path, 0, NULL) == ZNONODE) {
            return 1;
        }
        usleep(20000);
    }
    return 0;
}

static void create_get_set_delete(zhandle_t *zh, const char *base) {
    const char *path = below(base, "a");
    struct Stat made, read;
    char buffer[TEXT], name[TEXT];
    int length = TEXT;
    CODE(zoo_create2(zh, path, "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, name, TEXT, &made), ZOK);
    CHECK(strcmp(name, path) == 0, "created %s", name);
    CODE(zoo_get(zh, path, 0, buffer, &length, &read), ZOK);
    CHECK(length == 3 && memcmp(buffer, "one", 3) == 0, "read %d bytes", length);
    CHECK(made.czxid == read.czxid && made.mzxid == read.mzxid && made.pzxid == read.pzxid && made.ctime == read.ctime
              && made.mtime == read.mtime && made.version == read.version && made.dataLength == read.dataLength,
          "the stat of create2 is not that of get");
    CODE(zoo_set2(zh, path, "other", 5, 0, &read), ZOK);
    CHECK(read.version == 1 && read.dataLength == 5, "version %d", read.version);
    CODE(zoo_set(zh, path, "x", 1, 0), ZBADVERSION);
    CODE(zoo_delete(zh, path, 0), ZBADVERSION);
    CODE(zoo_delete(zh, path, 1), ZOK);
    CODE(zoo_exists(zh, path, 0, &read), ZNONODE);
}

static void create_in_every_mode(zhandle_t *zh, const char *base) {
    char name[TEXT];
    struct Stat stat;
    const struct ACL_vector *acl = &ZOO_OPEN_ACL_UNSAFE;
    CODE(zoo_create(zh, below(base, "s-"), "", 0, acl, ZOO_PERSISTENT_SEQUENTIAL, name, TEXT), ZOK);
    CHECK(strcmp(name, below(base, "s-0000000000")) == 0, "created %s", name);
    CODE(zoo_create2(zh, below(base, "e-"), "", 0, acl, ZOO_EPHEMERAL_SEQUENTIAL, name, TEXT, &stat), ZOK);
    CHECK(strcmp(name, below(base, "e-0000000001")) == 0, "created %s", name);
    CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id, "the owner is not the session");
    CODE(zoo_create(zh, below(base, "null"), NULL, -1, acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
    CODE(zoo_create2(zh, below(base, "c"), "", 0, acl, ZOO_CONTAINER, name, TEXT, &stat), ZOK);
    CODE(make(zh, below(base, "c/child"), "", 0), ZOK);
    CODE(zoo_delete(zh, below(base, "c/child"), -1), ZOK);
    CHECK(vanishes(zh, below(base, "c")), "the empty container stays");
    CODE(zoo_create_ttl(zh, below(base, "t"), "", 0, acl, ZOO_PERSISTENT_WITH_TTL, 200, name, TEXT), ZOK);
    CHECK(vanishes(zh, below(base, "t")), "the TTL node stays");
    CODE(zoo_create2_ttl(zh, below(base, "ts-"), "", 0, acl, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 60000, name, TEXT,
                         &stat), ZOK);
    CHECK(strcmp(name, below(base, "ts-0000000005")) == 0, "created %s", name);
}

static void children(zhandle_t *zh, const char *base) {
    struct String_vector names;
    struct Stat stat;
    CODE(make(zh, below(base, "a"), "", 0), ZOK);
    CODE(make(zh, below(base, "b"), "", 0), ZOK);
    CODE(zoo_get_children(zh, base, 0, &names), ZOK);
    CHECK(names.count == 2, "%d children", names.count);
    deallocate_String_vector(&names);
    CODE(zoo_get_children2(zh, base, 0, &names, &stat), ZOK);
    CHECK(names.count == 2 && stat.numChildren == 2 && stat.cversion == 2, "%d children", stat.numChildren);
    deallocate_String_vector(&names);
}

static void refusals(zhandle_t *zh, const char *base) {
    struct ACL_vector none = {0, NULL};
    CODE(make(zh, below(base, "a"), "", 0), ZOK);
    CODE(make(zh, below(base, "a"), "", 0), ZNODEEXISTS);
    CODE(make(zh, below(base, "none/below"), "", 0), ZNONODE);
    CODE(zoo_set(zh, below(base, "none"), "", 0, -1), ZNONODE);
    CODE(zoo_delete(zh, base, -1), ZNOTEMPTY);
    CODE(make(zh, below(base, "e"), "", ZOO_EPHEMERAL), ZOK);
    CODE(make(zh, below(base, "e/child"), "", 0), ZNOCHILDRENFOREPHEMERALS);
    CODE(zoo_create(zh, below(base, "x"), "", 0, &none, 0, NULL, 0), ZINVALIDACL);
    CODE(zoo_delete(zh, "/zookeeper", -1), ZBADARGUMENTS);
}

static void sync_done(int code, const char *value, const void *data) {
    (void)data;
    pthread_mutex_lock(&lock);
    snprintf((char *)data, TEXT, "%d %s", code, value == NULL ? "" : value);
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

static void sync_and_configuration(zhandle_t *zh, const char *base) {
    char answer[TEXT] = "", wanted[TEXT], buffer[TEXT];
    struct timespec limit = deadline();
    struct Stat stat;
    int late = 0, length = TEXT;
    snprintf(wanted, TEXT, "0 %s", base);
    CODE(zoo_async(zh, base, sync_done, answer), ZOK);
    pthread_mutex_lock(&lock);
    while (answer[0] == 0 && !late) {
        late = pthread_cond_timedwait(&told, &lock, &limit) != 0;
    }
    pthread_mutex_unlock(&lock);
    CHECK(strcmp(answer, wanted) == 0, "sync answered %s", answer);
    CODE(zoo_getconfig(zh, 0, buffer, &length, &stat), ZOK);
    length = TEXT;
    CODE(zoo_reconfig(zh, NULL, "2", NULL, -1, buffer, &length, &stat), ZRECONFIGDISABLED);
}

static void multi_succeeds_and_fails(zhandle_t *zh, const char *base) {
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char name[TEXT];
    struct Stat stat;
    const char *a = below(base, "a");
    zoo_create_op_init(&ops[0], a, "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, name, TEXT);
    zoo_check_op_init(&ops[1], a, 0);
    zoo_set_op_init(&ops[2], a, "2", 1, 0, &stat);
    zoo_delete_op_init(&ops[3], a, 1);
    CODE(zoo_multi(zh, 4, ops, results), ZOK);
    CHECK(strcmp(name, a) == 0 && stat.version == 1, "created %s, version %d", name, stat.version);
    zoo_delete_op_init(&ops[1], below(base, "none"), -1);
    CODE(zoo_multi(zh, 3, ops, results), ZNONODE);
    CHECK(results[0].err == ZOK && results[1].err == ZNONODE && results[2].err == ZRUNTIMEINCONSISTENCY,
          "results %d %d %d", results[0].err, results[1].err, results[2].err);
    CODE(zoo_exists(zh, a, 0, NULL), ZNONODE);
}

static void acls_are_read_and_set(zhandle_t *zh, const char *base) {
    struct ACL_vector acl;
    struct Stat stat;
    CODE(zoo_create(zh, below(base, "a"), "", 0, &ZOO_READ_ACL_UNSAFE, 0, NULL, 0), ZOK);
    CODE(zoo_get_acl(zh, below(base, "a"), &acl, &stat), ZOK);
    CHECK(acl.count == 1 && acl.data[0].perms == ZOO_PERM_READ && stat.aversion == 0, "%d entries", acl.count);
    deallocate_ACL_vector(&acl);
    CODE(zoo_set(zh, below(base, "a"), "", 0, -1), ZNOAUTH);
    CODE(make(zh, below(base, "b"), "", 0), ZOK);
    CODE(zoo_set_acl(zh, below(base, "b"), 0, &ZOO_READ_ACL_UNSAFE), ZOK);
    CODE(zoo_set_acl(zh, below(base, "b"), 0, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH);
}

static void authenticated(int code, const void *data) {
    pthread_mutex_lock(&lock);
    *(int *)data = code;
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

static int authenticate(zhandle_t *zh, const char *user) {
    int code = 1, late = 0;
    struct timespec limit = deadline();
    zoo_add_auth(zh, "digest", user, (int)strlen(user), authenticated, &code);
    pthread_mutex_lock(&lock);
    while (code == 1 && !late) {
        late = pthread_cond_timedwait(&told, &lock, &limit) != 0;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static void digest_keeps_others_out(zhandle_t *zh, const char *base) {
    zhandle_t *owner = connect_client();
    char buffer[TEXT];
    int length = TEXT;
    CHECK(owner != NULL, "no second connection");
    CODE(authenticate(owner, "ann:secret"), ZOK);
    CODE(zoo_create(owner, below(base, "p"), "p", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
    CODE(zoo_get(zh, below(base, "p"), 0, buffer, &length, NULL), ZNOAUTH);
    CODE(authenticate(zh, "ann:wrong"), ZOK);
    CODE(zoo_get(zh, below(base, "p"), 0, buffer, &length, NULL), ZNOAUTH);
    CODE(authenticate(zh, "ann:secret"), ZOK);
    CODE(zoo_get(zh, below(base, "p"), 0, buffer, &length, NULL), ZOK);
    zookeeper_close(owner);
}

static void ephemerals_go_with_their_session(zhandle_t *zh, const char *base) {
    static struct seen seen;
    zhandle_t *owner = connect_client();
    CHECK(owner != NULL, "no second connection");
    CODE(make(owner, below(base, "e"), "", ZOO_EPHEMERAL), ZOK);
    CODE(zoo_wexists(zh, below(base, "e"), note, &seen, NULL), ZOK);
    zookeeper_close(owner);
    CHECK(was_told(&seen, ZOO_DELETED_EVENT, below(base, "e")), "no event when the owner closed");
}

static void one_shot_watches(zhandle_t *zh, const char *base) {
    static struct seen seen;
    struct String_vector names;
    char buffer[TEXT];
    int length = TEXT;
    const char *a = below(base, "a");
    CODE(zoo_wexists(zh, a, note, &seen, NULL), ZNONODE);
    CODE(zoo_wget_children(zh, base, note, &seen, &names), ZOK);
    CODE(make(zh, a, "1", 0), ZOK);
    CHECK(was_told(&seen, ZOO_CREATED_EVENT, a), "no created event");
    CHECK(was_told(&seen, ZOO_CHILD_EVENT, base), "no child event");
    CODE(zoo_wget(zh, a, note, &seen, buffer, &length, NULL), ZOK);
    CODE(zoo_set(zh, a, "2", 1, -1), ZOK);
    CHECK(was_told(&seen, ZOO_CHANGED_EVENT, a), "no changed event");
    length = TEXT;
    CODE(zoo_wget(zh, a, note, &seen, buffer, &length, NULL), ZOK);
    CODE(zoo_delete(zh, a, -1), ZOK);
    CHECK(was_told(&seen, ZOO_DELETED_EVENT, a), "no deleted event");
    CHECK(seen.count == 4, "%d events", seen.count);
}

static void watches_are_removed(zhandle_t *zh, const char *base) {
    static struct seen seen;
    char buffer[TEXT];
    int length = TEXT;
    CODE(zoo_wget(zh, base, note, &seen, buffer, &length, NULL), ZOK);
    CODE(zoo_remove_watches(zh, base, ZWATCHTYPE_DATA, note, &seen, 0), ZOK);
    CODE(zoo_set(zh, base, "1", 1, -1), ZOK);
    CODE(zoo_exists(zh, base, 0, NULL), ZOK);
    CHECK(!was_told_now(&seen, ZOO_CHANGED_EVENT), "a removed watch fired");
    CODE(zoo_remove_watches(zh, base, ZWATCHTYPE_DATA, note, &seen, 0), ZNOWATCHER);
}

static void session_survives_a_restart(zhandle_t *zh, const char *base) {
    static struct seen seen;
    char line[TEXT], buffer[TEXT];
    int length = TEXT;
    struct Stat stat;
    zhandle_t *owner = connect_client();
    CHECK(owner != NULL, "no second connection");
    int64_t id = zoo_client_id(owner)->client_id;
    CODE(make(owner, below(base, "e"), "", ZOO_EPHEMERAL), ZOK);
    CODE(zoo_wget(owner, below(base, "e"), note, &seen, buffer, &length, NULL), ZOK);
    CODE(zoo_wexists(owner, below(base, "later"), note, &seen, NULL), ZNONODE);
    printf("@restart\n");
    fflush(stdout);
    CHECK(fgets(line, TEXT, stdin) != NULL && strcmp(line, "done\n") == 0, "no answer");
    int code = ZCONNECTIONLOSS;
    for (int tries = 0; tries < 1000 && code == ZCONNECTIONLOSS; tries++) {
        CHECK(in_state(owner, ZOO_CONNECTED_STATE), "the owner does not come back");
        code = zoo_exists(owner, below(base, "e"), 0, &stat);
    }
    CHECK(code == ZOK && stat.ephemeralOwner == id, "code %d, owner %llx", code, (long long)stat.ephemeralOwner);
    CHECK(zoo_client_id(owner)->client_id == id, "another session");
    CODE(zoo_set(owner, below(base, "e"), "2", 1, -1), ZOK);
    CHECK(was_told(&seen, ZOO_CHANGED_EVENT, below(base, "e")), "the data watch is lost");
    CODE(make(owner, below(base, "later"), "", 0), ZOK);
    CHECK(was_told(&seen, ZOO_CREATED_EVENT, below(base, "later")), "the exists watch is lost");
    zookeeper_close(owner);
    CHECK(in_state(zh, ZOO_CONNECTED_STATE), "the first client does not come back");
    CHECK(vanishes(zh, below(base, "e")), "the ephemeral stays");
}

#define RUN(name) failed |= run(#name, name)

static int run(const char *name, void (*body)(zhandle_t *, const char *)) {
    char base[TEXT];
    snprintf(base, TEXT, "/c/%s", name);
    snprintf(failure, TEXT, "no connection");
    zhandle_t *zh = connect_client();
    if (zh != NULL && make(zh, base, "", 0) == ZOK) {
        failure[0] = 0;
        body(zh, base);
    }
    zookeeper_close(zh);
    if (failure[0] == 0) {
        printf("ok %s\n", name);
    } else {
        printf("FAIL %s %s\n", name, failure);
    }
    fflush(stdout);
    return failure[0] != 0;
}

int main(int count, char **arguments) {
    int failed = 0;
    if (count < 2) {
        return 2;
    }
    address = arguments[1];
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = connect_client();
    if (zh == NULL || make(zh, "/c", "", 0) != ZOK) {
        printf("FAIL connect no session\n");
        return 1;
    }
    zookeeper_close(zh);
    RUN(create_get_set_delete);
    RUN(create_in_every_mode);
    RUN(children);
    RUN(refusals);
    RUN(sync_and_configuration);
    RUN(multi_succeeds_and_fails);
    RUN(acls_are_read_and_set);
    RUN(digest_keeps_others_out);
    RUN(ephemerals_go_with_their_session);
    RUN(one_shot_watches);
    RUN(watches_are_removed);
    RUN(session_survives_a_restart);
    return failed;
}

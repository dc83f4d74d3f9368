// Checks of a ZooKeeper server through node-zookeeper-client.
//
// usage: node checks.js HOST:PORT (with node_modules on NODE_PATH)
// Prints `ok NAME` or `FAIL NAME reason` per check; `@restart` asks for a restart of the server, which has
// happened when a line arrives on stdin.
'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const readline = require('node:readline');
const zookeeper = require('node-zookeeper-client');

const PATIENCE_MS = 20000;
const address = process.argv[2];
const { ACL, CreateMode, Event, Exception, Id, Permission, State } = zookeeper;
const lines = readline.createInterface({ input: process.stdin });

function limited(promise, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${PATIENCE_MS} ms: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// Calls a method of the client whose last argument is a callback(error, results…).
function call(zk, method, ...args) {
  const done = new Promise((resolve, reject) => {
    zk[method](...args, (error, ...results) => (error ? reject(error) : resolve(results)));
  });
  return limited(done, method);
}

async function connect() {
  const zk = zookeeper.createClient(address, { sessionTimeout: 10000, spinDelay: 100, retries: 5 });
  const connected = once(zk, 'connected');
  zk.connect();
  await limited(connected, 'connect');
  return zk;
}

async function close(zk) {
  const closed = once(zk, 'disconnected');
  zk.close();
  await limited(closed, 'close');
}

async function refused(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.strictEqual(error.getCode ? error.getCode() : error.message, code);
    return true;
  });
}

function commit(transaction) {
  const done = new Promise((resolve) => transaction.commit((error, results) => resolve({ error, results })));
  return limited(done, 'commit');
}

async function eventually(condition, what) {
  for (const deadline = Date.now() + PATIENCE_MS; !(await condition()); ) {
    assert(Date.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function restartServer() {
  const answer = once(lines, 'line');
  console.log('@restart');
  assert.deepStrictEqual(await answer, ['done']);
}

// A watcher and a promise of its first event, as text.
function watch() {
  let watcher;
  const event = new Promise((resolve) => {
    watcher = (seen) => resolve(`${seen.getName()} ${seen.getPath()}`);
  });
  return { watcher, event: () => limited(event, 'an event') };
}

const checks = {
  async createGetSetRemove(zk, base) {
    assert.deepStrictEqual(await call(zk, 'create', `${base}/a`, Buffer.from('one')), [`${base}/a`]);
    const [data, stat] = await call(zk, 'getData', `${base}/a`);
    assert.deepStrictEqual([data.toString(), stat.version, stat.dataLength], ['one', 0, 3]);
    const [changed] = await call(zk, 'setData', `${base}/a`, Buffer.from('two'), 0);
    assert.strictEqual(changed.version, 1);
    const [there] = await call(zk, 'exists', `${base}/a`);
    assert.deepStrictEqual(there, changed);
    await call(zk, 'remove', `${base}/a`, 1);
    assert.strictEqual((await call(zk, 'exists', `${base}/a`))[0], null);
  },

  async createInEveryMode(zk, base) {
    const make = async (name, mode) => (await call(zk, 'create', `${base}/${name}`, mode))[0];
    assert.strictEqual(await make('s-', CreateMode.PERSISTENT_SEQUENTIAL), `${base}/s-0000000000`);
    assert.strictEqual(await make('es-', CreateMode.EPHEMERAL_SEQUENTIAL), `${base}/es-0000000001`);
    await make('e', CreateMode.EPHEMERAL);
    const [stat] = await call(zk, 'exists', `${base}/e`);
    assert.deepStrictEqual(stat.ephemeralOwner, zk.getSessionId());
  },

  // removeRecursive is left out: its listing of the tree forgets leaves, whatever the server.
  async makeTrees(zk, base) {
    await call(zk, 'mkdirp', `${base}/x/y/z`, Buffer.from('deep'));
    assert.strictEqual((await call(zk, 'getData', `${base}/x/y/z`))[0].toString(), 'deep');
  },

  async children(zk, base) {
    for (const name of ['c', 'a', 'b']) {
      await call(zk, 'create', `${base}/${name}`);
    }
    const [names, stat] = await call(zk, 'getChildren', base);
    assert.deepStrictEqual([names.sort(), stat.numChildren], [['a', 'b', 'c'], 3]);
  },

  async refusals(zk, base) {
    await call(zk, 'create', `${base}/a`);
    await refused(Exception.NODE_EXISTS, call(zk, 'create', `${base}/a`));
    await refused(Exception.NO_NODE, call(zk, 'getData', `${base}/none`));
    await refused(Exception.NO_NODE, call(zk, 'create', `${base}/none/below`));
    await refused(Exception.BAD_VERSION, call(zk, 'setData', `${base}/a`, Buffer.from('2'), 7));
    await refused(Exception.NOT_EMPTY, call(zk, 'remove', base, -1));
    await call(zk, 'create', `${base}/e`, CreateMode.EPHEMERAL);
    await refused(Exception.NO_CHILDREN_FOR_EPHEMERALS, call(zk, 'create', `${base}/e/child`));
  },

  async transactionSucceeds(zk, base) {
    const { error, results } = await commit(zk.transaction()
      .create(`${base}/a`, Buffer.from('1')).check(`${base}/a`, 0)
      .setData(`${base}/a`, Buffer.from('2'), 0).remove(`${base}/a`, 1)
      .create(`${base}/s-`, CreateMode.PERSISTENT_SEQUENTIAL));
    assert.ifError(error);
    assert.strictEqual(results.length, 5);
    assert.deepStrictEqual((await call(zk, 'getChildren', base))[0], ['s-0000000001']);
  },

  async transactionFailsWhole(zk, base) {
    const { error } = await commit(zk.transaction().create(`${base}/a`).remove(`${base}/none`));
    assert.strictEqual(error.getCode(), Exception.NO_NODE);
    assert.strictEqual((await call(zk, 'exists', `${base}/a`))[0], null);
  },

  async aclsAreReadAndSet(zk, base) {
    await call(zk, 'create', `${base}/a`, ACL.READ_ACL_UNSAFE);
    const [acls, stat] = await call(zk, 'getACL', `${base}/a`);
    assert.deepStrictEqual([acls, stat.aversion], [ACL.READ_ACL_UNSAFE, 0]);
    await refused(Exception.NO_AUTH, call(zk, 'setData', `${base}/a`, Buffer.from('2'), -1));
    await call(zk, 'create', `${base}/b`);
    const [changed] = await call(zk, 'setACL', `${base}/b`, ACL.READ_ACL_UNSAFE, 0);
    assert.strictEqual(changed.aversion, 1);
  },

  async digestKeepsOthersOut(zk, base) {
    const owner = await connect();
    owner.addAuthInfo('digest', Buffer.from('ann:secret'));
    await call(owner, 'create', `${base}/private`, Buffer.from('p'), ACL.CREATOR_ALL_ACL);
    await refused(Exception.NO_AUTH, call(zk, 'getData', `${base}/private`));
    assert.strictEqual((await call(owner, 'getData', `${base}/private`))[0].toString(), 'p');
    const mine = [new ACL(Permission.ALL, new Id('auth', ''))];
    assert.strictEqual((await call(owner, 'setACL', `${base}/private`, mine, -1))[0].aversion, 1);
    await close(owner);
  },

  async ephemeralsGoWithTheirSession(zk, base) {
    const owner = await connect();
    await call(owner, 'create', `${base}/e`, CreateMode.EPHEMERAL);
    const { watcher, event } = watch();
    await call(zk, 'exists', `${base}/e`, watcher);
    await close(owner);
    assert.strictEqual(await event(), `NODE_DELETED ${base}/e`);
  },

  async oneShotWatches(zk, base) {
    const other = await connect();
    const [created, listed, changed, deleted] = [watch(), watch(), watch(), watch()];
    await call(zk, 'exists', `${base}/a`, created.watcher);
    await call(zk, 'getChildren', base, listed.watcher);
    await call(other, 'create', `${base}/a`);
    assert.strictEqual(await created.event(), `NODE_CREATED ${base}/a`);
    assert.strictEqual(await listed.event(), `NODE_CHILDREN_CHANGED ${base}`);
    await call(zk, 'getData', `${base}/a`, changed.watcher);
    await call(other, 'setData', `${base}/a`, Buffer.from('2'), -1);
    assert.strictEqual(await changed.event(), `NODE_DATA_CHANGED ${base}/a`);
    await call(zk, 'getData', `${base}/a`, deleted.watcher);
    await call(other, 'remove', `${base}/a`, -1);
    assert.strictEqual(await deleted.event(), `NODE_DELETED ${base}/a`);
    await close(other);
  },

  async manyRequestsInFlight(zk, base) {
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    await Promise.all(numbers.map((n) => call(zk, 'create', `${base}/${n}`, Buffer.from(`${n}`))));
    const read = await Promise.all(numbers.map((n) => call(zk, 'getData', `${base}/${n}`)));
    assert.deepStrictEqual(read.map(([data]) => Number(data.toString())), numbers);
  },

  async sessionSurvivesARestart(zk, base) {
    const owner = await connect();
    await call(owner, 'create', `${base}/e`, CreateMode.EPHEMERAL);
    await call(owner, 'create', `${base}/p`);
    const session = owner.getSessionId().toString('hex');
    const [changed, created] = [watch(), watch()];
    await call(owner, 'getData', `${base}/p`, changed.watcher);
    await call(owner, 'exists', `${base}/later`, created.watcher);
    await restartServer();
    await eventually(() => owner.getState() === State.SYNC_CONNECTED, 'the client comes back');
    const found = async () => (await call(owner, 'exists', `${base}/e`).catch(() => [null]))[0];
    await eventually(found, 'the ephemeral is there');
    assert.strictEqual((await found()).ephemeralOwner.toString('hex'), session);
    assert.strictEqual(owner.getSessionId().toString('hex'), session);
    await call(owner, 'setData', `${base}/p`, Buffer.from('2'), -1);
    assert.strictEqual(await changed.event(), `NODE_DATA_CHANGED ${base}/p`);
    await call(owner, 'create', `${base}/later`);
    assert.strictEqual(await created.event(), `NODE_CREATED ${base}/later`);
    await close(owner);
    const other = await connect();
    assert.strictEqual((await call(other, 'exists', `${base}/e`))[0], null);
    await close(other);
  },
};

async function main() {
  let failed = 0;
  assert.strictEqual(typeof Event.NODE_CREATED, 'number');
  for (const [name, run] of Object.entries(checks)) {
    let zk;
    try {
      zk = await connect();
      await call(zk, 'mkdirp', `/node/${name}`);
      await run(zk, `/node/${name}`);
      console.log(`ok ${name}`);
    } catch (error) {
      failed = 1;
      console.error(error);
      console.log(`FAIL ${name} ${String(error).replaceAll('\n', ' ')}`);
    } finally {
      if (zk) {
        zk.close();
      }
    }
  }
  process.exit(failed);
}

main();

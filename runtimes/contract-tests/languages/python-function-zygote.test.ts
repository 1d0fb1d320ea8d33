/** Instances of the python runtime that are forked from a process with their function's code in it (PROTOCOL.md, "Function zygote"), without a sandbox. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functionZygotes } from '../function-zygote.ts';
import { freePort, withoutProgram } from '../instance.ts';

const { load, livesApart, answersDiffer } = functionZygotes('python');
const skip = withoutProgram('python3') ?? false;

/** Loaded once; what it says of itself is different in each instance. */
const STATE = `
import os, random, sys
count = 0
random.seed(7)
LOADED = os.environ["WHO"]

def state():
    global count
    count += 1
    return {"count": count, "who": os.environ["WHO"], "more": os.environ.get("MORE"), "loaded": LOADED, "random": random.random(),
            "cwd": os.getcwd(), "main": sys.modules["__main__"] is not None}
`;
const SHAPES: Record<string, string> = {
  'a handler': `${STATE}\ndef handler(request):\n    return state()\n`,
  'an asynchronous handler': `${STATE}\nasync def handler(request):\n    import asyncio\n    await asyncio.sleep(0)\n    return state()\n`,
  'a WSGI application': `${STATE}\nimport json\ndef app(environ, start_response):\n    start_response("200 OK", [])\n    return [json.dumps(state()).encode()]\n`,
  // Its start-up belongs to the instance: what it begins would not survive a fork.
  'an ASGI application with a lifespan': `${STATE}
import asyncio, json
task = None

async def app(scope, receive, send):
    global task
    if scope["type"] == "lifespan":
        await receive()
        task = asyncio.create_task(asyncio.sleep(3600))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    assert task is not None and not task.done()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(state()).encode()})
`,
};

for (const [what, code] of Object.entries(SHAPES)) {
  test(`${what} is loaded once, and what its instances do afterwards is their own`, { skip }, () =>
    livesApart({ 'f.py': code }, (first, other) => {
      assert.deepEqual([first.loaded, other.loaded], ['zygote', 'zygote']);
      assert.notEqual(first.random, other.random);
    }),
  );
}

const HANDLER = '\ndef handler(request):\n    return ""\n';
const PROBLEMS: Record<string, [code: string, problem: RegExp]> = {
  'a thread': [
    'import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True, name="mine").start()',
    /started a thread \(mine\)/,
  ],
  // One that Python knows nothing of.
  'a thread of a library': [
    `import ctypes
libc = ctypes.CDLL(None)
one = ctypes.c_void_p()
start = ctypes.cast(libc.pause, ctypes.c_void_p)
libc.pthread_create(ctypes.byref(one), None, start, None)`,
    /started a thread \(/,
  ],
  'a connection': ['import socket\none = socket.socketpair()', /opened socket/],
  'an event loop': ['import asyncio\nloop = asyncio.new_event_loop()', /opened (anon_inode|socket)/],
  'an open file': ['kept = open(__file__)', /opened .*f\.py/],
  'random bytes': ['import os\nkey = os.urandom(8)', /random numbers .*urandom/],
  'a random UUID': ['from uuid import uuid4\nme = uuid4()', /random numbers .*urandom/],
  'a secret': ['import secrets\nkey = secrets.token_hex()', /random numbers .*urandom/],
  'a generator of random numbers': [
    'import random\nmine = random.Random()',
    /random numbers .*random\.Random/,
  ],
  'a process': [
    'import subprocess\nchild = subprocess.Popen(["sleep", "60"], stdin=-3, stdout=-3, stderr=-3)',
    /started a process/,
  ],
  'a program': [
    `import http.server, os
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.BaseHTTPRequestHandler).serve_forever()`,
    /it is a program/,
  ],
};
for (const [what, [code, problem]] of Object.entries(PROBLEMS)) {
  test(`code that makes ${what} while it is loaded is not forked`, { skip }, async () => {
    const { result, end } = await load(
      { 'f.py': code + HANDLER },
      what === 'a program' ? { port: await freePort() } : {},
    );
    assert.match(result.result.problem, problem);
    await end();
  });
}

/** Its own generator is no hindrance; what draws for itself is seeded anew. */
const SEEDED = {
  'f.py': `import multiprocessing, random, tempfile
mine = random.Random(7)
def handler(request):
    return multiprocessing.current_process().authkey.hex()
`,
};

test('a generator with a seed, and modules that draw for themselves, are no hindrance', { skip }, () =>
  answersDiffer(SEEDED),
);

/** Stands in the place of the real one, whose generator it has: a table entry must not depend on what is installed here. */
const NUMPY = {
  'f.py': `import numpy.random
def handler(request):
    return numpy.random.state
`,
  'numpy/__init__.py': '',
  'numpy/random/__init__.py': `from secrets import randbits
state = str(randbits(64))
def seed():
    global state
    state = str(randbits(64))
`,
};

test('the generator of numpy is seeded anew', { skip }, () => answersDiffer(NUMPY));

test('random numbers are no hindrance where the function says so', { skip }, async () => {
  const code = `import os, uuid
first = uuid.uuid4().hex
def handler(request):
    return {"first": first, "next": [uuid.uuid4().hex, os.urandom(8).hex()]}
`;
  const { result, fork, end } = await load({ 'f.py': code }, { trusted: true });
  assert.equal(result.result.problem, undefined);
  const [one, other] = [await fork('one'), await fork('other')];
  const [a, b] = [JSON.parse(await one.ask()), JSON.parse(await other.ask())];
  assert.equal(a.first, b.first);
  for (const each of [0, 1]) assert.notEqual(a.next[each], b.next[each]);
  await one.end();
  await other.end();
  await end();
});

test('code that does not load is told of as ever; other code is refused by an instance', {
  skip,
}, async () => {
  const broken = await load({ 'f.py': 'def handler(' });
  assert.equal(broken.result.error.code, 'LoadError');
  assert.match(broken.result.error.detail, /SyntaxError/);
  await broken.end();
  const good = await load({ 'f.py': HANDLER });
  const instance = await good.fork('one');
  await assert.rejects(
    instance.instance.call('specialise', { code: '/', revision: 'r-2' }),
    ({ code }: { code?: string }) => code === 'AlreadySpecialised',
  );
  await instance.end();
  await good.end();
});

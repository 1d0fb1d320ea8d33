import assert from 'node:assert/strict';
import test from 'node:test';
import { seeded } from '../../../test/lib/random.ts';
import { simulatedClock } from '../../base/clock.ts';
import type { SubscriptionSpec } from '../model.ts';
import { createWorld, type Reaction, streamSpec, trigger, type World } from '../testing/delivery-world.ts';
import { newDisk } from '../testing/memory-log.ts';

const BROKER = 'broker/ns/b';
const SEEDS = Number(process.env.PETREL_SEEDS ?? 12);

/** Subscriptions of all kinds. */
const specs = (): SubscriptionSpec[] => [
  trigger('plain', { terms: { retry: 4, backoffDelayMs: 500 } }),
  trigger('even', { filters: [{ exact: { type: 'even' } }], terms: { retry: 2, backoffDelayMs: 9000 } }),
  trigger('ordered', { orderedBy: 'subject', terms: { retry: 6, backoffDelayMs: 300 } }),
  trigger('batched', { batch: { size: 5, waitMs: 200 }, terms: { retry: 3, backoffDelayMs: 4000 } }),
  trigger('letters', { terms: { retry: 1, backoffDelayMs: 7000, deadLetter: { url: 'http://sink/dls' } } }),
];

for (let seed = 1; seed <= SEEDS; seed++)
  test(`whatever fails and whenever it is killed, nothing accepted is lost (seed ${seed})`, async () => {
    const random = seeded(seed);
    const clock = simulatedClock();
    const disk = newDisk();
    /** `<name> <id>` that a sink took. */
    const taken = new Set<string>();
    const firsts: string[] = [];
    const accepted = new Map<number, { id: string; type: string; subject: string }>();
    let calm = false;

    const react = ({
      path,
      events,
    }: {
      path: string;
      events: { id: string }[];
    }): Reaction | Promise<Reaction> => {
      const chance = calm ? 0 : random();
      if (chance > 0.9) return { failure: 'timeout' };
      if (chance > 0.8) return { failure: 'connect' };
      if (chance > 0.55) return 503;
      if (chance > 0.52) return 400;
      const failed = path === '/batched' && chance > 0.4 ? events.slice(0, 2).map(({ id }) => id) : [];
      for (const { id } of events)
        if (!failed.includes(id)) {
          if (path === '/ordered' && !taken.has(`ordered ${id}`)) firsts.push(id);
          taken.add(`${path.slice(1)} ${id}`);
        }
      if (failed.length > 0)
        return {
          status: 200,
          body: JSON.stringify({ batchItemFailures: failed.map((id) => ({ itemIdentifier: id })) }),
        };
      return chance > 0.3
        ? new Promise<Reaction>((resolve) => clock.after(Math.floor(random() * 3000), () => resolve(202)))
        : 202;
    };

    const begin = async (): Promise<World> => {
      const world = createWorld({ react, disk, clock, random });
      world.delivery.setStream(BROKER, streamSpec(BROKER));
      for (const spec of specs()) world.delivery.setSubscription(spec.key, spec);
      await world.delivery.complete();
      return world;
    };

    const dead = () =>
      new Set([...disk.dead.values()].map(({ subscription, offset }) => `${subscription} ${offset}`));
    const resolved = (name: string, offset: number): boolean => {
      const { id, type } = accepted.get(offset)!;
      if (name === 'even' && type !== 'even') return true;
      return (
        taken.has(`${name} ${id}`) ||
        (name === 'letters' && taken.has(`dls ${id}`)) ||
        dead().has(`trigger/ns/${name} ${offset}`)
      );
    };
    const safe = (name: string, offset: number): boolean =>
      resolved(name, offset) ||
      [...disk.parked.values()].some(
        (row) => row.subscription === `trigger/ns/${name}` && row.offset === offset,
      );

    let world = await begin();
    let made = 0;
    for (let life = 0; life < 8; life++) {
      for (let step = 0; step < 6; step++) {
        const fresh = Array.from({ length: Math.floor(random() * 12) }, () => {
          const n = made++;
          return { id: `e${n}`, type: n % 2 === 0 ? 'even' : 'odd', subject: `s${n % 3}` };
        });
        const answers = await world.accept(BROKER, ...fresh);
        answers.forEach((answer, i) => {
          assert.ok(answer.accepted);
          accepted.set(answer.offset!, fresh[i]!);
        });
        world.faults.full = random() < 0.1;
        await clock.advance(Math.floor(random() * 6000));
        world.faults.full = false;
      }
      // Killed: what was not written is gone.
      world.faults.crashed = true;
      for (const { uid, low, above } of disk.positions.values()) {
        const name = uid.slice('uid-'.length);
        for (const offset of accepted.keys())
          if (offset < low)
            assert.ok(safe(name, offset), `${name} has passed ${offset}, which is not resolved`);
        for (let i = 0; i < above.length; i += 2)
          for (let offset = above[i]!; offset <= above[i + 1]!; offset++)
            if (accepted.has(offset)) assert.ok(safe(name, offset), `${name} tells ${offset} resolved`);
      }
      world = await begin();
    }
    calm = true;
    await clock.advance(600_000);
    for (const spec of specs()) {
      const name = spec.key.split('/')[2]!;
      for (const offset of accepted.keys()) assert.ok(resolved(name, offset), `${name} has lost ${offset}`);
    }
    assert.equal(disk.parked.size, 0);
    for (const state of Object.values(await world.delivery.answers.subscriptions({})))
      assert.equal(state.waiting, 0);
    // In order for each subject, those that died left out.
    for (const subject of ['s0', 's1', 's2']) {
      const order = firsts
        .filter((id) => Number(id.slice(1)) % 3 === Number(subject[1]))
        .map((id) => Number(id.slice(1)));
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
        `${subject} is out of order`,
      );
    }
    assert.equal(clock.pending(), 0);
  });

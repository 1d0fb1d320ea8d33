/** A list of Redis as a queue. */
import type { CloudEvent } from '../../../cloudevents/event.ts';
import { fromJson } from '../../../cloudevents/json.ts';
import { about, carried } from '../../connectors/messages.ts';
import { waits } from '../../connectors/waits.ts';
import type { SourceContext } from '../contract.ts';
import type { Reading } from './stream.ts';

/** How long one command waits in the server, seconds. */
const BLOCK_S = '30';

/**
 * Items move to `<list>:petrel:<consumer>` in one step with being taken, and leave it when they are resolved: whatever happens in between, they
 * are in one of the two. What is there at the start is delivered first.
 */
export async function readList({
  context,
  config,
  connection,
  waiting,
  acting,
  lost,
}: Reading): Promise<void> {
  const { list = '', end, prefetch } = config;
  const { intake, signal } = connection;
  const wait = waits(signal, lost);
  const underWay = `${list}:petrel:${config.consumer ?? context.name}`;
  const take = (item: Buffer) =>
    intake.take(undefined, async () => {
      await context.emit(toEvent(item, context, list));
      await acting.run('LREM', underWay, '1', item);
    });
  connection.beyond = async () =>
    Number(await acting.run('LLEN', list)) + Number(await acting.run('LLEN', underWay));
  connection.up(`takes from list ${list}`);
  // The oldest stands where it was put: at the far end of where new ones are put.
  const left = (await acting.run('LRANGE', underWay, '0', '-1')) as Buffer[];
  for (const item of left.reverse()) {
    await wait(intake.room(prefetch));
    if (signal.aborted) break;
    take(item);
  }
  while (!signal.aborted) {
    await wait(intake.room(prefetch));
    if (signal.aborted) break;
    const command = waiting.run(
      'BLMOVE',
      list,
      underWay,
      end === 'right' ? 'RIGHT' : 'LEFT',
      'LEFT',
      BLOCK_S,
    );
    const item = await wait(command);
    // An item that is moved after this source has stopped to wait is the first of its next start.
    if (Buffer.isBuffer(item)) take(item);
  }
  await connection.settled();
}

/** An item that is an event in JSON is that event; any other has no identity of its own, so each delivery of it has a new id. */
function toEvent(item: Buffer, context: SourceContext<unknown>, list: string): CloudEvent {
  const { namespace, name, uuid } = context;
  const plain = () =>
    about({
      id: uuid(),
      type: 'dev.petrel.redis.item',
      origin: { namespace, name, plural: 'redissources', of: list },
      data: item,
    });
  return item[0] === 0x7b && item.includes('"specversion"') ? carried(() => fromJson(item), plain) : plain();
}

/** Events accepted for good at a fixed rate: how long each waits for its 202 when producers do not go as fast as they can. */
import { BROKER_PATH, createBroker } from '../lib/events.ts';
import { type PacedResult, sendPaced } from '../lib/paced-events.ts';
import { startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const PRODUCERS = 200;
const RATE = 30_000;
const WARM_SECONDS = 3;
const SECONDS = 5;
const ROUNDS = 3;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    await createBroker(platform);
    const send = (run: string, seconds: number): Promise<PacedResult> =>
      sendPaced({
        ...platform.gateway,
        path: BROKER_PATH,
        connections: PRODUCERS,
        eventsPerSecond: RATE,
        bytes: 1024,
        run,
        seconds,
      });
    await send('warm', WARM_SECONDS);
    const rounds: PacedResult[] = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await send(`round-${round}`, SECONDS));
    const of = (name: keyof PacedResult) => median(rounds.map((round) => round[name]));
    const refused = rounds.reduce((sum, round) => sum + round.refused, 0);
    return [
      {
        what: `events accepted durably, 1 KB, ${PRODUCERS} producers, ${RATE.toLocaleString('en')} a second: p99`,
        value: of('p99'),
        unit: 'ms',
        reach: { at: 10, better: 'lower' },
        note: `p50 ${of('p50').toFixed(2)} ms, longest ${of('longest').toFixed(0)} ms, ${Math.round(of('perSecond'))}/s, ${refused} refused; from when each was due, median of ${ROUNDS} runs, generator on the same cores`,
      },
    ];
  } finally {
    await platform.stop();
  }
}

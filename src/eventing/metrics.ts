/** What the engine has counted, for whoever collects such figures. */
import type { Family, Sample } from '../base/openmetrics.ts';
import type { Questions } from './model.ts';

export interface Counted {
  streams: Questions['streams']['answer'];
  subscriptions: Questions['subscriptions']['answer'];
  engine: Questions['engine']['answer'];
}

/** Asks for everything there is. Rejects with `NotReady` while the engine begins. */
export async function metricsOf(eventing: {
  ask<K extends keyof Questions>(question: K, input: Questions[K]['input']): Promise<Questions[K]['answer']>;
}): Promise<Family[]> {
  const [streams, subscriptions, engine] = await Promise.all([
    eventing.ask('streams', {}),
    eventing.ask('subscriptions', {}),
    eventing.ask('engine', {}),
  ]);
  return familiesOf({ streams, subscriptions, engine });
}

/** Counts begin with the engine: a restart sets them back, as the form allows. */
export function familiesOf({ streams, subscriptions, engine }: Counted): Family[] {
  const ofStreams = Object.entries(streams);
  const ofSubscriptions = Object.entries(subscriptions);
  const states = Object.entries(engine.states);
  const eachStream = (value: (of: Counted['streams'][string]) => number | undefined): Sample[] =>
    ofStreams.flatMap(([stream, of]) => {
      const found = value(of);
      return found === undefined ? [] : [[{ stream }, found] satisfies Sample];
    });
  return [
    {
      name: 'petrel_events_accepted',
      type: 'counter',
      help: 'Events that are on disk, by stream.',
      samples: eachStream(({ accepted }) => accepted),
    },
    {
      name: 'petrel_events_refused',
      type: 'counter',
      help: 'Requests that were refused, by stream (empty: they meant none) and reason.',
      samples: [
        ...ofStreams.flatMap(([stream, { refusals }]) => byReason(stream, refusals)),
        ...byReason('', engine.refusals),
      ],
    },
    {
      name: 'petrel_event_stream_events',
      type: 'gauge',
      help: 'Events that are kept.',
      samples: eachStream(({ events }) => events),
    },
    {
      name: 'petrel_event_stream_bytes',
      type: 'gauge',
      help: 'Bytes that are kept.',
      samples: eachStream(({ bytes }) => bytes),
    },
    {
      name: 'petrel_event_stream_oldest_timestamp_seconds',
      type: 'gauge',
      help: 'When the oldest event that is kept was accepted.',
      samples: eachStream(({ oldest }) => (oldest === undefined ? undefined : oldest / 1000)),
    },
    {
      name: 'petrel_event_deliveries',
      type: 'counter',
      help: 'Deliveries by subscription and outcome; failed are attempts, retried those that were made again.',
      samples: ofSubscriptions.flatMap(([subscription, state]) =>
        (['delivered', 'failed', 'retried', 'dead'] as const).map(
          (outcome): Sample => [{ subscription, outcome }, state[outcome]],
        ),
      ),
    },
    {
      name: 'petrel_event_filtered',
      type: 'counter',
      help: 'Events that a subscription did not want.',
      samples: ofSubscriptions.map(([subscription, { filteredOut }]) => [{ subscription }, filteredOut]),
    },
    {
      name: 'petrel_event_waiting',
      type: 'gauge',
      help: 'Events that are accepted and not yet delivered, by subscription.',
      samples: ofSubscriptions.map(([subscription, { waiting }]) => [{ subscription }, waiting]),
    },
    {
      name: 'petrel_event_source_ready',
      type: 'gauge',
      help: 'Whether a source, a sink or a remote store works.',
      samples: states.map(([source, { ready }]) => [{ source }, ready ? 1 : 0]),
    },
    {
      name: 'petrel_event_source_lag',
      type: 'gauge',
      help: 'Messages that wait at the origin of a source.',
      samples: states.flatMap(([source, { lag }]) =>
        lag === undefined ? [] : [[{ source }, lag] satisfies Sample],
      ),
    },
  ];
}

const byReason = (stream: string, refusals: Record<string, number>): Sample[] =>
  Object.entries(refusals).map(([reason, count]) => [{ stream, reason }, count]);

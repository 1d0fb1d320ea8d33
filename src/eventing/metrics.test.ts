import assert from 'node:assert/strict';
import test from 'node:test';
import { metricsText } from '../base/openmetrics.ts';
import { familiesOf } from './metrics.ts';

test('everything that is counted is there, in the form that collectors read', () => {
  const text = metricsText(
    familiesOf({
      streams: {
        'broker/ns/b': {
          ...{ events: 3, bytes: 300, oldest: 1500, accepted: 5, refused: 2 },
          refusals: { not_an_event: 1, disk_full: 1 },
        },
      },
      subscriptions: {
        'trigger/ns/t': { delivered: 4, failed: 3, retried: 2, dead: 1, filteredOut: 6, waiting: 7 },
      },
      engine: {
        refusals: { no_address: 8 },
        states: {
          'eventsource/ns/"odd"': { ready: false, reason: 'Unreachable', message: 'x', lag: 9 },
          'sink/ns/s': { ready: true, reason: 'Open', message: '' },
        },
      },
    }),
  );
  const lines = text.split('\n');
  for (const line of [
    '# TYPE petrel_events_accepted counter',
    'petrel_events_accepted_total{stream="broker/ns/b"} 5',
    'petrel_events_refused_total{stream="broker/ns/b",reason="not_an_event"} 1',
    'petrel_events_refused_total{stream="broker/ns/b",reason="disk_full"} 1',
    'petrel_events_refused_total{stream="",reason="no_address"} 8',
    'petrel_event_stream_events{stream="broker/ns/b"} 3',
    'petrel_event_stream_bytes{stream="broker/ns/b"} 300',
    'petrel_event_stream_oldest_timestamp_seconds{stream="broker/ns/b"} 1.5',
    'petrel_event_deliveries_total{subscription="trigger/ns/t",outcome="delivered"} 4',
    'petrel_event_deliveries_total{subscription="trigger/ns/t",outcome="failed"} 3',
    'petrel_event_deliveries_total{subscription="trigger/ns/t",outcome="retried"} 2',
    'petrel_event_deliveries_total{subscription="trigger/ns/t",outcome="dead"} 1',
    'petrel_event_filtered_total{subscription="trigger/ns/t"} 6',
    'petrel_event_waiting{subscription="trigger/ns/t"} 7',
    'petrel_event_source_ready{source="eventsource/ns/\\"odd\\""} 0',
    'petrel_event_source_ready{source="sink/ns/s"} 1',
    'petrel_event_source_lag{source="eventsource/ns/\\"odd\\""} 9',
  ])
    assert.ok(lines.includes(line), line);
  assert.ok(text.endsWith('\n# EOF\n'));
  // Each family once, its lines together.
  const families = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
  assert.equal(new Set(families).size, families.length);
});

test('without anything there is nothing to tell', () => {
  assert.equal(
    metricsText(familiesOf({ streams: {}, subscriptions: {}, engine: { refusals: {}, states: {} } })),
    '# EOF\n',
  );
});

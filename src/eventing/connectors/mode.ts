/** How an event is written as a message. */
export const MODE = {
  is: 'choice',
  of: ['binary', 'structured'],
  default: 'binary',
  what: 'the event’s attributes beside its data (`binary`), or all of it as one JSON document (`structured`)',
} as const;

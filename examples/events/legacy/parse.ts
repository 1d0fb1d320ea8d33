/** A file of the old system as events, one for each line: an answer may be a batch. */
export default {
  async fetch(request: Request): Promise<Response> {
    const [head = '', ...lines] = (await request.text()).trim().split('\n');
    const names = head.split(';');
    const events = lines.map((line, number) => ({
      specversion: '1.0',
      // The file's id and the line: a file that is read again gives the same events.
      id: `${request.headers.get('ce-id')}-${number}`,
      source: `/legacy/${request.headers.get('ce-subject')}`,
      type: 'legacy.invoice',
      datacontenttype: 'application/json',
      data: Object.fromEntries(line.split(';').map((value, i) => [names[i], value])),
    }));
    return new Response(JSON.stringify(events), {
      headers: { 'content-type': 'application/cloudevents-batch+json' },
    });
  },
};

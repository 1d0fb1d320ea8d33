/** A reading as the device sent it, in one unit. The answer is an event: it goes back to the broker. */
interface Raw {
  device: string;
  temp: number;
  unit?: 'C' | 'F';
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { device, temp, unit = 'C' } = (await request.json()) as Raw;
    if (typeof device !== 'string' || typeof temp !== 'number')
      return new Response('no reading', { status: 400 });
    const celsius = Math.round((unit === 'F' ? ((temp - 32) * 5) / 9 : temp) * 10) / 10;
    return Response.json(
      { device, celsius },
      {
        headers: {
          'ce-specversion': '1.0',
          // The same reading gives the same event, however often it is delivered.
          'ce-id': `${request.headers.get('ce-id')}-c`,
          'ce-source': '/iot/normalise',
          'ce-type': 'iot.reading',
          'ce-subject': device,
          'ce-celsius': String(Math.round(celsius)),
        },
      },
    );
  },
};

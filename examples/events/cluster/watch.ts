/** Called when a ConfigMap with the label `watched` comes, changes or goes. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    const what = request.headers.get('ce-type')?.split('.').at(-1) ?? '';
    const name = request.headers.get('ce-name') ?? request.headers.get('ce-subject')?.split('/').at(-1) ?? '';
    await state.set(name, what);
    return new Response(null, { status: 204 });
  },
};

/** Which bucket a setting of the platform means: `s3://bucket/prefix?endpoint=…&region=…`, with the credentials that AWS's tools take. */
import type { PlaceOptions } from './place.ts';

/** Throws what `wrong` makes of a reason. */
export function placeOf(
  url: URL,
  env: NodeJS.ProcessEnv,
  wrong: (why: string) => Error,
): Pick<PlaceOptions, 'endpoint' | 'bucket' | 'prefix' | 'region' | 'credentials'> {
  const accessKeyId = env.AWS_ACCESS_KEY_ID;
  const secretAccessKey = env.AWS_SECRET_ACCESS_KEY;
  if (url.hostname === '') throw wrong('it names no bucket');
  if (!accessKeyId || !secretAccessKey)
    throw wrong('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set');
  const region = url.searchParams.get('region') ?? env.AWS_REGION ?? 'us-east-1';
  const endpoint =
    url.searchParams.get('endpoint') ??
    env.AWS_ENDPOINT_URL_S3 ??
    env.AWS_ENDPOINT_URL ??
    `https://s3.${region}.amazonaws.com`;
  if (!/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : ''))
    throw wrong(`${endpoint} is no endpoint`);
  const path = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
  const session = env.AWS_SESSION_TOKEN;
  return {
    endpoint,
    bucket: url.hostname,
    prefix: path === '' ? '' : `${path}/`,
    region,
    credentials: { accessKeyId, secretAccessKey, ...(session ? { sessionToken: session } : {}) },
  };
}

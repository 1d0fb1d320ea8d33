/** Hosts (with or without a port) that outcomes may be told to although not everybody can reach them: `PETREL_CALLBACK_HOSTS`, by commas. */
export const callbackHosts = (): string[] =>
  (process.env.PETREL_CALLBACK_HOSTS ?? '')
    .split(',')
    .map((host) => host.trim().toLowerCase())
    .filter((host) => host !== '');

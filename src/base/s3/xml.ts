/** Reading the answers of S3. Pure. */

/** The content of the elements of a name, in order. S3's answers are flat and have no attributes that matter. */
export function elements(xml: string, name: string): string[] {
  const entities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
  return [...xml.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, 'g'))].map(([, text = '']) =>
    text.replace(/&(lt|gt|amp|quot|apos);/g, (_, entity: string) => entities[entity] ?? ''),
  );
}

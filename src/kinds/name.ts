/**
 * Rules for names, labels and keys, each as a function value → problems (empty: fine), with upstream's texts.
 * Source: apimachinery `util/validation`, `api/validation`.
 */

const example = (message: string, format: string, ...examples: string[]): string =>
  `${message} (e.g. ${examples.map((e) => `'${e}', `).join(' or ')}regex used for validation is '${format}')`;
const tooManyCharacters = (max: number): string => `must be no more than ${max} characters`;

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const CONFIG_KEY = '[-._a-zA-Z0-9]+';

const whole = (format: string): RegExp => new RegExp(`^(?:${format})$`);
const LABEL_RE = whole(LABEL);
const SUBDOMAIN_RE = whole(SUBDOMAIN);
const LABEL_1035_RE = whole(LABEL_1035);
const QUALIFIED_RE = whole(QUALIFIED);
const LABEL_VALUE_RE = whole(`(${QUALIFIED})?`);
const CONFIG_KEY_RE = whole(CONFIG_KEY);

/** One DNS label (RFC 1123), at most 63 characters: names of containers, namespaces, ports of volumes. */
export function dns1123Label(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 63) problems.push(tooManyCharacters(63));
  if (!LABEL_RE.test(value)) {
    problems.push(
      SUBDOMAIN_RE.test(value)
        ? 'must not contain dots'
        : example(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL,
            'my-name',
            '123-abc',
          ),
    );
  }
  return problems;
}

/** Dot-separated DNS labels, at most 253 characters: the name rule of most kinds. */
export function dns1123Subdomain(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 253) problems.push(tooManyCharacters(253));
  if (!SUBDOMAIN_RE.test(value)) {
    problems.push(
      example(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN,
        'example.com',
      ),
    );
  }
  return problems;
}

/** One DNS label that starts with a letter (RFC 1035): names of Services and of everything that becomes a host name. */
export function dns1035Label(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 63) problems.push(tooManyCharacters(63));
  if (!LABEL_1035_RE.test(value)) {
    problems.push(
      example(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        LABEL_1035,
        'my-name',
        'abc-123',
      ),
    );
  }
  return problems;
}

/** `[prefix/]name`, as in label keys, annotation keys (lower-cased first), finalizers and taint keys. */
export function qualifiedName(value: string): string[] {
  const message =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  const problems: string[] = [];
  const parts = value.split('/');
  if (parts.length > 2) {
    return [
      `a qualified name ${example(message, QUALIFIED, 'MyName', 'my.name', '123-abc')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const name = parts.at(-1) ?? '';
  const prefix = parts.length === 2 ? (parts[0] ?? '') : undefined;
  if (prefix === '') problems.push('prefix part must be non-empty');
  else if (prefix !== undefined) problems.push(...dns1123Subdomain(prefix).map((m) => `prefix part ${m}`));
  if (name === '') problems.push('name part must be non-empty');
  else if (name.length > 63) problems.push(`name part ${tooManyCharacters(63)}`);
  if (!QUALIFIED_RE.test(name)) {
    problems.push(`name part ${example(message, QUALIFIED, 'MyName', 'my.name', '123-abc')}`);
  }
  return problems;
}

/** The value of a label: empty, or at most 63 characters of the qualified-name alphabet. */
export function labelValue(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 63) problems.push(tooManyCharacters(63));
  if (!LABEL_VALUE_RE.test(value)) {
    problems.push(
      example(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        `(${QUALIFIED})?`,
        'MyValue',
        'my_value',
        '12345',
      ),
    );
  }
  return problems;
}

/** A key of a ConfigMap or Secret: also a file name, so `.`, `..` and what starts with `..` are refused. */
export function configMapKey(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 253) problems.push(tooManyCharacters(253));
  if (!CONFIG_KEY_RE.test(value)) {
    problems.push(
      example(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        CONFIG_KEY,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  }
  if (value === '.') problems.push("must not be '.'");
  else if (value === '..') problems.push("must not be '..'");
  else if (value.startsWith('..')) problems.push("must not start with '..'");
  return problems;
}

/** The name of an environment variable: any printable ASCII except `=` (the rule since 1.32's relaxed check). */
export function envVarName(value: string): string[] {
  if (value === '') return ['environment variable name must be non-empty'];
  return /^[\x20-\x3c\x3e-\x7e]+$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

/** The name of a container port. */
export function portName(value: string): string[] {
  const problems: string[] = [];
  if (value.length > 15) problems.push(tooManyCharacters(15));
  if (!/^[-a-z0-9]+$/.test(value)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(value)) problems.push('must contain at least one letter (a-z)');
  if (value.includes('--')) problems.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}

/** A rule for `metadata.name`. */
export type NameRule = (value: string) => string[];

/**
 * The same rule for `metadata.generateName`, where a trailing dash is fine because a suffix follows.
 * Source: apimachinery `api/validation.maskTrailingDash`.
 */
export function forPrefix(rule: NameRule): NameRule {
  return (value) => rule(value.length > 1 && value.endsWith('-') ? `${value.slice(0, -2)}a` : value);
}

const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_GENERATED = 63;

/**
 * What tells a generated name from others: five characters of an alphabet without what reads like words or is easily confused,
 * as upstream has it. `random` returns numbers in [0, 1).
 */
export function randomSuffix(random: () => number): string {
  let suffix = '';
  for (let i = 0; i < SUFFIX_LENGTH; i++)
    suffix += SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)];
  return suffix;
}

/** A name from `metadata.generateName`: the prefix, cut so that the whole has at most 63 characters, and a random suffix. */
export function generateName(prefix: string, random: () => number): string {
  return prefix.slice(0, MAX_GENERATED - SUFFIX_LENGTH) + randomSuffix(random);
}

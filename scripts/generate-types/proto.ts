/** Reads the messages of a `generated.proto` file. */

export interface ProtoField {
  number: number;
  name: string;
  /** Scalar name, or message name without leading dot: `ObjectMeta`, `k8s.io.api.core.v1.Pod`. For maps the value's type. */
  type: string;
  repeated: boolean;
  map: boolean;
}

export interface ProtoFile {
  package: string;
  messages: Map<string, ProtoField[]>;
}

export function parseProto(text: string): ProtoFile {
  const file: ProtoFile = { package: '', messages: new Map() };
  let fields: ProtoField[] | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line.startsWith('//')) continue;
    const pkg = /^package ([\w.]+);/.exec(line);
    if (pkg) file.package = pkg[1] ?? '';
    const message = /^message (\w+) \{/.exec(line);
    if (message) {
      fields = [];
      file.messages.set(message[1] ?? '', fields);
    }
    const map = /^map<string, \.?([\w.]+)> (\w+) = (\d+)/.exec(line);
    const plain = /^(optional|repeated) \.?([\w.]+) (\w+) = (\d+)/.exec(line);
    if (map)
      fields?.push({
        number: Number(map[3]),
        name: map[2] ?? '',
        type: map[1] ?? '',
        repeated: false,
        map: true,
      });
    else if (plain) {
      fields?.push({
        number: Number(plain[4]),
        name: plain[3] ?? '',
        type: plain[2] ?? '',
        repeated: plain[1] === 'repeated',
        map: false,
      });
    }
  }
  return file;
}

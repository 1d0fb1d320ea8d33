/** What readers of all forms collect attributes in, one by one and each once, until the event is whole. */
import {
  type AttributeValue,
  type CloudEvent,
  type EventLimits,
  InvalidEvent,
  makeEvent,
  unknownVersion,
  validate,
} from './event.ts';

/** Collects the attributes of one event. */
export class EventBuilder {
  #id: unknown;
  #source: unknown;
  #type: unknown;
  #specversion: unknown;
  #subject: unknown;
  #time: unknown;
  #dataschema: unknown;
  #extensions: Record<string, AttributeValue> = {};
  /** Bindings that keep it apart from the attributes set it themselves. */
  datacontenttype: unknown;

  /**
   * Takes an attribute as the wire has it; `finish` checks it.
   * @throws InvalidEvent when it was there before: readers that took the one or the other would see different events.
   */
  set(name: string, value: unknown): void {
    switch (name) {
      case 'id':
        this.#id = once(name, this.#id, value);
        break;
      case 'source':
        this.#source = once(name, this.#source, value);
        break;
      case 'type':
        this.#type = once(name, this.#type, value);
        break;
      case 'specversion':
        this.#specversion = once(name, this.#specversion, value);
        break;
      case 'subject':
        this.#subject = once(name, this.#subject, value);
        break;
      case 'time':
        this.#time = once(name, this.#time, value);
        break;
      case 'datacontenttype':
        this.datacontenttype = once(name, this.datacontenttype, value);
        break;
      case 'dataschema':
        this.#dataschema = once(name, this.#dataschema, value);
        break;
      case '__proto__':
        // Set on a plain object it would vanish instead of being refused by its name.
        throw new InvalidEvent(name, '"__proto__" is not a name for an extension attribute');
      default:
        if (Object.hasOwn(this.#extensions, name)) once(name, true, value);
        this.#extensions[name] = value as AttributeValue;
    }
  }

  /** The event, checked. @throws InvalidEvent */
  finish(data: Buffer | undefined, limits: EventLimits): CloudEvent {
    // First, for it is what tells an event from anything else.
    if (this.#specversion !== '1.0') throw unknownVersion(this.#specversion);
    return validate(
      makeEvent(
        this.#id as string,
        this.#source as string,
        this.#type as string,
        this.#subject as string | undefined,
        this.#time as string | undefined,
        this.datacontenttype as string | undefined,
        this.#dataschema as string | undefined,
        this.#extensions,
        data,
      ),
      limits,
    );
  }
}

function once(name: string, before: unknown, value: unknown): unknown {
  if (before === undefined) return value;
  throw new InvalidEvent(name, `the attribute ${name} is there twice`, { fix: 'Send it once.' });
}

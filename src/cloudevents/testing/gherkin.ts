/** Reads the features of the CloudEvents conformance suite: as much of Gherkin as they are written in. */

/** A step: what it says, with the text or the table under it. */
export interface Step {
  text: string;
  doc?: string;
  table: string[][];
}

export interface Scenario {
  name: string;
  steps: Step[];
}

/** The scenarios of a feature: each with the steps of the background, outlines once for each of their examples. */
export function scenariosOf(feature: string): Scenario[] {
  const lines = feature.split('\n');
  const scenarios: Scenario[] = [];
  const background: Step[] = [];
  let outline: { scenario: Scenario; examples: string[][] } | undefined;
  let steps = background;
  let table: string[][] | undefined;
  const finish = () => {
    if (outline) scenarios.push(...outlined(outline.scenario, outline.examples));
    outline = undefined;
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!.trim();
    const step = /^(?:Given|When|Then|And|But) (.*)$/.exec(line)?.[1];
    const scenario = /^Scenario(?: Outline)?: (.*)$/.exec(line)?.[1];
    if (scenario !== undefined) {
      finish();
      steps = [...background];
      outline = { scenario: { name: scenario, steps }, examples: [] };
    } else if (step !== undefined) {
      table = [];
      steps.push({ text: step.replace(/:$/, ''), table });
    } else if (line === 'Examples:') table = outline?.examples;
    else if (line.startsWith('|'))
      table?.push(
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    else if (line === '"""') {
      const end = lines.findIndex((other, index) => index > at && other.trim() === '"""');
      const indent = lines[at]!.indexOf('"""');
      steps.at(-1)!.doc = lines
        .slice(at + 1, end)
        .map((text) => text.slice(indent))
        .join('\n');
      at = end;
    }
  }
  finish();
  return scenarios;
}

/** A scenario for each example, with its values in the place of their names; without examples, as it is. */
function outlined(scenario: Scenario, [names = [], ...rows]: string[][]): Scenario[] {
  if (rows.length === 0) return [scenario];
  return rows.map((row) => {
    const fill = (text: string) =>
      names.reduce((filled, name, at) => filled.replaceAll(`<${name}>`, row[at] ?? ''), text);
    return {
      name: fill(scenario.name),
      steps: scenario.steps.map(({ text, doc, table }) => ({
        text: fill(text),
        doc: doc === undefined ? undefined : fill(doc),
        table: table.map((cells) => cells.map(fill)),
      })),
    };
  });
}

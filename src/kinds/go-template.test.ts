import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTemplate, TemplateError } from './go-template.ts';

const values = {
  Name: 'n',
  Namespace: 'ns',
  Labels: { app: 'web' },
  Annotations: { 'a.b/c': 'x' },
  Empty: undefined,
};

for (const [text, expected] of [
  ['plain', 'plain'],
  ['{{.Name}}.{{ .Namespace }}', 'n.ns'],
  ['{{.Labels.app}}', 'web'],
  ['{{.Labels.none}}', '<no value>'],
  ['{{index .Annotations "a.b/c"}}', 'x'],
  ['{{index .Annotations `a.b/c`}}', 'x'],
  ['{{index .Annotations "none"}}', ''],
  ['{{index .Empty "none"}}', ''],
  ['{{if .Labels.app}}yes{{else}}no{{end}}!', 'yes!'],
  ['{{if index .Annotations "none"}}yes{{else}}{{if .Name}}inner{{end}}{{end}}!', 'inner!'],
  ['{{if .Empty}}yes{{end}}!', '!'],
  ['a {{- .Name -}} b', 'anb'],
  ['{{/* said */}}a', 'a'],
] as const) {
  test(text, () => assert.equal(compileTemplate(text)(values), expected));
}

for (const text of [
  '{{.Name',
  '{{end}}',
  '{{if .Name}}x',
  '{{printf "%s" .Name}}',
  '{{.Foo}}',
  '{{.Name.Foo}}',
  'x'.repeat(2000),
]) {
  test(`refused: ${text.slice(0, 20)}`, () =>
    assert.throws(() => compileTemplate(text)(values), TemplateError));
}
